#!/usr/bin/env python3
"""What promtool does not check of rules and dashboards; each complaint is a line, and the exit status 1.

* Every metric that is named is declared: by Clearfleet's sources, by a recording rule, or in the lists of others' below.
* Histograms are named with _bucket, _sum or _count, nothing else is.
* Every alert has its texts, and a test in which it fires and one in which it does not.
* Every panel of a dashboard has an id of its own, a description and queries.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BOARDS = HERE.parent / "grafana" / "dashboards"

# Metrics of others, read from RabbitMQ 3.10, MinIO RELEASE.2026-02-12 and, for DCGM, from its exporter's documentation.
OTHERS = """
    up ALERTS process_cpu_seconds_total process_resident_memory_bytes process_open_fds
    rabbitmq_alarms_file_descriptor_limit rabbitmq_alarms_free_disk_space_watermark rabbitmq_alarms_memory_used_watermark
    rabbitmq_detailed_queue_consumers rabbitmq_detailed_queue_messages_ready rabbitmq_detailed_queue_messages_unacked
    rabbitmq_disk_space_available_bytes rabbitmq_disk_space_available_limit_bytes
    rabbitmq_global_messages_delivered_total rabbitmq_global_messages_received_total
    rabbitmq_global_messages_redelivered_total
    rabbitmq_process_resident_memory_bytes rabbitmq_resident_memory_limit_bytes
    minio_cluster_capacity_usable_free_bytes minio_cluster_capacity_usable_total_bytes
    minio_cluster_drive_offline_total minio_cluster_drive_online_total
    minio_s3_requests_5xx_errors_total minio_s3_requests_inflight_total minio_s3_requests_total
    minio_s3_requests_waiting_total minio_s3_traffic_received_bytes minio_s3_traffic_sent_bytes
    DCGM_FI_DEV_FB_FREE DCGM_FI_DEV_FB_USED DCGM_FI_DEV_GPU_TEMP DCGM_FI_DEV_GPU_UTIL DCGM_FI_DEV_POWER_USAGE
    DCGM_FI_DEV_SM_CLOCK DCGM_FI_DEV_XID_ERRORS DCGM_FI_PROF_PIPE_TENSOR_ACTIVE
""".split()

# Names that the sources put together from pieces (api/src/webhooks/counts.rs).
COMPOSED = """
    clearfleet_webhooks_delivered_total clearfleet_webhooks_failed_attempts_total clearfleet_webhooks_given_up_total
""".split()

# Names that the sources do not have yet. Delete each when they do (lint.py asks for it), then this list.
PROMISED = """
    clearfleet_worker_device_memory_bytes
""".split()

WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset", "inf", "nan"}


def metrics(expr: str) -> set[str]:
    """Names of metrics in a PromQL expression."""
    expr = re.sub(r'"(\\.|[^"\\])*"', "", expr)
    expr = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", expr)
    expr = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", expr)
    names = re.findall(r"(?<![\w:.])[A-Za-z_:][\w:]*(?!\s*\(|[\w:])", expr)
    return {name for name in names if name.lower() not in WORDS}


def rule_blocks() -> Iterator[tuple[str, str, str]]:
    """Kind (alert or record), name and text of each rule: rules.yml is written in one form, so no YAML parser is needed."""
    text = (HERE / "rules.yml").read_text(encoding="utf-8")
    for block in re.split(r"\n(?= *- (?:alert|record): )", text)[1:]:
        kind, name = re.match(r" *- (alert|record): (\S+)", block).groups()
        yield kind, name, block


def expr_of(block: str) -> str:
    found = re.search(r"^        expr: \|?(.*(?:\n(?:          .*)?)*)", block, re.M)
    return "\n".join(line.split(" #")[0] for line in found.group(1).splitlines())


def expressions() -> Iterator[tuple[str, str]]:
    for _, name, block in rule_blocks():
        yield f"rules.yml: {name}", expr_of(block)
    for path in sorted(BOARDS.glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"].replace("$__rate_interval", "5m")


def declared() -> tuple[set[str], set[str]]:
    """Metrics of the sources, and those of them that are histograms."""
    all_names, histograms = set(), set()
    for part in ("api", "common", "worker"):
        for path in (ROOT / part / "src").rglob("*.rs"):
            text = path.read_text(encoding="utf-8")
            all_names.update(re.findall(r'"(clearfleet_[a-z0-9_]+)"', text))
            histograms.update(re.findall(r'\bHistogram(?:Vec)?\b[^;"]*?"(clearfleet_[a-z0-9_]+)"', text))
    return all_names, histograms


def check_names() -> Iterator[str]:
    ours, histograms = declared()
    for name in PROMISED:
        if name in ours:
            yield f"lint.py: {name} is declared by now; take it from PROMISED"
    ours |= {*COMPOSED, *PROMISED}
    known = (ours - histograms) | set(OTHERS) | {name for kind, name, _ in rule_blocks() if kind == "record"}
    known |= {name + end for name in histograms for end in ("_bucket", "_sum", "_count")}
    used = set()
    for where, expr in expressions():
        used |= metrics(expr)
        for name in sorted(metrics(expr) - known):
            yield f"{where}: nobody declares {name}"
    for name in sorted({*OTHERS, *COMPOSED, *PROMISED} - used):
        yield f"lint.py: nobody uses {name}; take it from its list"


def check_alerts() -> Iterator[str]:
    tests = (HERE / "rules.test.yml").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=  - name: )", tests)
    for kind, name, block in rule_blocks():
        if kind != "alert":
            continue
        for text in ("severity: ", "summary: ", "description: ", "runbook: "):
            if text not in block:
                yield f"rules.yml: {name} has no {text.strip(': ')}"
        fires = rf'alertname="{name}",alertstate="firing"|alertname: {name}\n[^-]*exp_alerts:\n'
        own = [test for test in blocks if re.search(fires, test)]
        if not own:
            yield f"rules.test.yml: {name} never fires"
        elif not any("exp_samples: []" in test for test in own):
            yield f"rules.test.yml: {name} is never silent"


def check_boards() -> Iterator[str]:
    uids: dict[str, str] = {}
    for path in sorted(BOARDS.glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        ids = [panel["id"] for panel in board["panels"]]
        if len(set(ids)) != len(ids):
            yield f"{path.name}: two panels have one id"
        other = uids.setdefault(board["uid"], path.name)
        if other != path.name:
            yield f"{path.name}: has the uid of {other}"
        for panel in board["panels"]:
            if not panel["description"] or not panel["targets"]:
                yield f"{path.name}: {panel['title']} has no description or no query"


def main() -> int:
    complaints = [*check_names(), *check_alerts(), *check_boards()]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
