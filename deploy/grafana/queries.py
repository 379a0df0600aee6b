#!/usr/bin/env python3
"""The queries of the dashboards: run against a Prometheus, or listed.

    queries.py URL [--without gpu] [--window 1m] [--range 1h]   run each; exit 1 if one gives no data or an error
    queries.py --rules                                          all of them as recording rules, for promtool

A query `X or on() 0` is of something rare, and gives its 0 while X has no series yet: that counts as data, and is told apart
as `quiet`. One of a metric that the sources do not have yet (lint.py's list) is told apart as `promised`. A label that a legend
names and no series has is an error.
"""

import argparse
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append(str(Path(__file__).resolve().parent.parent / "prometheus"))

from lint import PROMISED, metrics  # noqa: E402 (after the path)

FOLDER = Path(__file__).parent / "dashboards"
FALLBACK = " or on() "


def queries(without: list[str]) -> Iterator[tuple[str, str, str]]:
    """Where a query stands, the query and its legend; variables included."""
    for path in sorted(FOLDER.glob("*.json")):
        if path.stem in without:
            continue
        board = json.loads(path.read_text(encoding="utf-8"))
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
                yield f"{path.stem}: variable {variable['name']}", f"count by ({label}) ({metric})", f"{{{{{label}}}}}"
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']} [{panel['id']}{target['refId']}]", target["expr"], target.get("legendFormat", "")


def substituted(expr: str, window: str, shown: str) -> str:
    values = {"$__rate_interval": window, "$__range": shown, "$class": ".*"}
    for name, value in values.items():
        expr = expr.replace(name, value)
    if "$" in expr:
        raise SystemExit(f"a variable without a value: {expr}")
    return expr


def series(url: str, expr: str) -> list[dict[str, str]]:
    """The labels of each series of numbers that it gives. NaN is none: no requests, no median."""
    body = urllib.parse.urlencode({"query": expr}).encode()
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/api/v1/query", body, timeout=30) as answer:
            result = json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        raise ValueError(json.load(error).get("error", str(error))) from error
    return [sample["metric"] for sample in result if sample["value"][1] != "NaN"]


def verdict(url: str, expr: str, legend: str) -> str:
    found = series(url, expr)
    if not found:
        return "promised" if metrics(expr) & set(PROMISED) else "empty"
    first, is_rare, _ = expr.rpartition(FALLBACK)
    # Within brackets the 0 is a term of a sum or of a share, and the query not one of something rare.
    if is_rare and first.count("(") == first.count(")") and not series(url, first):
        return "quiet"
    for label in re.findall(r"{{(\w+)}}", legend):
        if not any(label in labels for labels in found):
            raise ValueError(f"no series has the label {label}, which the legend names")
    return "data"


def run(url: str, window: str, shown: str, without: list[str]) -> int:
    counts = {"data": 0, "quiet": 0, "promised": 0, "empty": 0, "error": 0}
    for where, expr, legend in queries(without):
        expr = substituted(expr, window, shown)
        try:
            said = verdict(url, expr, legend)
        except ValueError as error:
            said, expr = "error", f"{expr}\n    {error}"
        counts[said] += 1
        if said != "data":
            print(f"{said}: {where}\n    {expr}")
    print("queries:", ", ".join(f"{count} {said}" for said, count in counts.items()))
    return 1 if counts["empty"] or counts["error"] or not counts["data"] else 0


def rules() -> None:
    print("groups:\n  - name: dashboards\n    rules:")
    for at, (where, expr, _) in enumerate(queries([])):
        # JSON's strings are YAML's, too.
        print(f"      - record: dashboard:query:{at} # {where}")
        print(f"        expr: {json.dumps(substituted(expr, '5m', '1h'))}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", help="of a Prometheus that has scraped a cluster under load")
    parser.add_argument("--rules", action="store_true", help="list the queries as recording rules")
    parser.add_argument("--without", action="append", default=[], choices=[p.stem for p in FOLDER.glob("*.json")])
    parser.add_argument("--window", default="1m", help="for $__rate_interval; at least four scrapes (default: %(default)s)")
    parser.add_argument("--range", default="1h", help="for $__range (default: %(default)s)")
    args = parser.parse_args()
    if args.rules:
        rules()
        return 0
    if not args.url:
        parser.error("a URL of a Prometheus is needed, or --rules")
    return run(args.url, args.window, args.range, args.without)


if __name__ == "__main__":
    sys.exit(main())
