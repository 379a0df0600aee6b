"""The store, as servers and workers see it, and as MinIO sees itself."""

from boards.panels import Json, dashboard, graph, number, query
from boards.promql import ZERO, none_yet, quantile, rate

REQUESTS = "clearfleet_storage_requests_total"
SECONDS = "clearfleet_storage_request_seconds"
# What is no failure: that an object is missing or was replaced is what was asked. As in rules.yml.
FAILED = 'outcome!~"ok|missing|changed"'
FREE = "minio_cluster_capacity_usable_free_bytes"
TOTAL = "minio_cluster_capacity_usable_total_bytes"


def board() -> Json:
    about = "Requests to the S3 store by operation and outcome; capacity and traffic of MinIO, where that is the store."
    return dashboard("clearfleet-storage", "Clearfleet: storage", about, [*_numbers(), *_requests(), *_minio()])


def _numbers() -> list[Json]:
    return [
        number("Requests", "Requests a second, of servers and workers.", query(rate(REQUESTS)), unit="reqps", width=6),
        number(
            "Errors",
            "Share of requests that failed. That an object is missing or was replaced is an answer.",
            query(f"({rate(REQUESTS, where=FAILED)} or on() {ZERO}) / {rate(REQUESTS)}"),
            unit="percentunit",
            thresholds=[(0.001, "orange"), (0.01, "red")],
            width=6,
        ),
        number(
            "Latency (95%)",
            "19 of 20 answers began within this time; of writes, the sending is part of it.",
            query(quantile(0.95, SECONDS)),
            unit="s",
            thresholds=[(5, "orange"), (30, "red")],
            width=6,
        ),
        number(
            "Free",
            "Share of the store's disks that is free (MinIO).",
            query(f"max({FREE}) / max({TOTAL})"),
            unit="percentunit",
            # More is better: red below 5%, orange below 15%.
            base="red",
            thresholds=[(0.05, "orange"), (0.15, "green")],
            width=6,
        ),
    ]


def _requests() -> list[Json]:
    return [
        graph("Requests by operation", "Requests a second.", query(rate(REQUESTS, "operation"), "{{operation}}"), unit="reqps"),
        graph(
            "Errors by outcome",
            "Requests a second: `failed`, look at the store, its space and the network; `refused`, look at the key and its policy.",
            query(f"{rate(REQUESTS, 'operation, outcome', FAILED)} {none_yet('outcome')}", "{{operation}} {{outcome}}"),
            unit="reqps",
        ),
        graph(
            "Latency by operation (50%)",
            "Half of the answers began within this time.",
            query(quantile(0.5, SECONDS, "operation"), "{{operation}}"),
            unit="s",
        ),
        graph(
            "Latency by operation (95%)",
            "19 of 20 answers began within this time; of writes, the sending is part of it.",
            query(quantile(0.95, SECONDS, "operation"), "{{operation}}"),
            unit="s",
        ),
        graph(
            "Reads of sources",
            "Bytes a second that workers read of sources, by class. Against the sources' size: how often each byte is read.",
            query(rate("clearfleet_worker_source_read_bytes_total", "class"), "{{class}}"),
            unit="Bps",
            stacked=True,
        ),
        graph(
            "Size of a read",
            "Bytes of a source that one read brings, mean. Small ones cost more time than they transfer.",
            query(
                f"{rate('clearfleet_worker_source_read_bytes_total', 'class')}"
                f" / ({rate('clearfleet_worker_source_reads_total', 'class')} > 0)",
                "{{class}}",
            ),
            unit="bytes",
        ),
    ]


def _minio() -> list[Json]:
    return [
        graph(
            "Capacity",
            "Bytes of the store's disks, in use and in all (MinIO).",
            query(f"max({TOTAL}) - max({FREE})", "in use"),
            query(f"max({TOTAL})", "in all"),
            unit="bytes",
            width=8,
        ),
        graph(
            "Traffic",
            "Bytes a second that the store takes and gives (MinIO).",
            query(rate("minio_s3_traffic_received_bytes"), "received"),
            query(rate("minio_s3_traffic_sent_bytes"), "sent"),
            unit="Bps",
            width=8,
        ),
        graph(
            "Drives",
            "Drives of the store, online and offline (MinIO).",
            query("max(minio_cluster_drive_online_total)", "online"),
            query("max(minio_cluster_drive_offline_total)", "offline"),
            unit="none",
            width=8,
        ),
        graph(
            "Requests as the store counts them",
            "Requests a second by call (MinIO), those of other programs included.",
            query(rate("minio_s3_requests_total", "api"), "{{api}}"),
            unit="reqps",
            stacked=True,
            width=8,
        ),
        graph(
            "Errors as the store counts them",
            "Answers a second that are the store's fault, 5xx (MinIO).",
            query(f"{rate('minio_s3_requests_5xx_errors_total', 'api')} {none_yet('api')}", "{{api}}"),
            unit="reqps",
            width=8,
        ),
        graph(
            "Requests that wait",
            "Requests that the store works on, and those that wait for it (MinIO). Waiting ones mean it is at its limit.",
            query("sum(minio_s3_requests_inflight_total)", "in work"),
            query("sum(minio_s3_requests_waiting_total)", "waiting"),
            unit="none",
            width=8,
        ),
    ]
