#!/usr/bin/env python3
"""Writes dashboards/*.json: the dashboards as Grafana reads them. `build.py --check` only says whether they are current.

Windows are Grafana's $__rate_interval. `X or on() ZERO` shows 0 for what has not happened yet: a counter with labels has no
series before its first event, and "No data" would look like a fault.
"""

import json
import sys
from pathlib import Path

from panels import Json, dashboard, graph, number, query, table

FOLDER = Path(__file__).parent / "dashboards"
CLASS = 'class=~"$class"'
ZERO = "vector(0)"


def rate(metric: str, by: str = "", where: str = "") -> str:
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(rate({metric}{{{where}}}[$__rate_interval]))"


def quantile(q: float, metric: str, by: str = "", where: str = "") -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, {rate(metric + '_bucket', labels, where)})"


def none_yet(label: str, name: str = "none") -> str:
    """0 for what has not happened yet, under a name for the legend."""
    return f'or on() label_replace({ZERO}, "{label}", "{name}", "", "")'


def process_panels(of: str, mark: str) -> list[Json]:
    """Memory, CPU and files of the processes that have the metric `mark`, whatever their job is called."""
    these = f"and on (job, instance) {mark}"
    return [
        graph(
            f"CPU of {of}",
            "Cores that a process keeps busy, mean over the window.",
            query(f"rate(process_cpu_seconds_total[$__rate_interval]) {these}", "{{instance}}"),
            unit="none",
            width=8,
        ),
        graph(
            f"Memory of {of}",
            "Resident memory of a process; of ffmpeg beside it nothing is counted here.",
            query(f"process_resident_memory_bytes {these}", "{{instance}}"),
            unit="bytes",
            width=8,
        ),
        graph(
            f"Open files of {of}",
            "File descriptors: files, pipes to ffmpeg, connections. A line that only rises is a leak.",
            query(f"process_open_fds {these}", "{{instance}}"),
            unit="none",
            width=8,
        ),
    ]


def fleet() -> Json:
    busy = f"class_stage:clearfleet_worker_stage_busy:ratio_rate5m{{{CLASS}}}"
    reused = rate("clearfleet_worker_reused_pixels_total", "class", CLASS)
    pixels = rate("clearfleet_worker_pixels_total", "class", CLASS)
    panels = [
        number(
            "Limiting stage",
            "The stage that is busy for the largest share of time, by class, over 5 minutes. Near 100% it limits the class: "
            "speed up this one. Well below, the class waits for work or for somebody else.",
            query(f"topk by (class) (1, {busy})", "{{class}}: {{stage}}"),
            unit="percentunit",
            thresholds=[(0.7, "orange"), (0.9, "red")],
            named=True,
            width=8,
        ),
        number(
            "Workers",
            "Workers that live, as the scheduler hears of them.",
            query(f"sum(max by (class) (clearfleet_workers{{{CLASS}}}))"),
            unit="none",
        ),
        number(
            "Pixels a second",
            "Pixels of results, all workers together.",
            query(rate("clearfleet_worker_pixels_total", where=CLASS)),
            unit="si:px/s",
        ),
        number(
            "Until the backlog is cleared",
            "Work that waits, by the measured speed of the workers that live; the slowest class.",
            query(f"max(class:clearfleet_backlog_clear:seconds{{{CLASS}}}) or on() {ZERO}"),
            unit="s",
            thresholds=[(3600, "orange"), (4 * 3600, "red")],
        ),
        number(
            "Alerts",
            "Alerts of deploy/prometheus/rules.yml that fire now.",
            query(f'count(ALERTS{{alertstate="firing"}}) or on() {ZERO}'),
            unit="none",
            thresholds=[(1, "red")],
        ),
        graph(
            "Busy share of stages",
            "Share of time that a stage works, mean over the workers of a class. The highest line is the limiting stage.",
            query(busy, "{{class}}: {{stage}}"),
            unit="percentunit",
            top=1,
            thresholds=[(0.9, "red")],
        ),
        graph(
            "Time of a stage (95%)",
            "19 of 20 times a stage took at most this long.",
            query(quantile(0.95, "clearfleet_worker_stage_seconds", "class, stage", CLASS), "{{class}}: {{stage}}"),
            unit="s",
        ),
        graph(
            "Pixels a second",
            "Pixels of results by class: made, and what the live workers say they can make. A gap with a backlog beside it "
            "is time lost outside the engine.",
            query(pixels, "{{class}}: made"),
            query(f"max by (class) (clearfleet_workers_pixels_per_second{{{CLASS}}})", "{{class}}: possible"),
            unit="si:px/s",
        ),
        graph(
            "Frames a second",
            "Frames that went through the engines, by class.",
            query(
                "sum by (class) (rate(clearfleet_worker_frames_total[$__rate_interval])"
                f" * on (job, instance) group_left (class) clearfleet_worker_info{{{CLASS}}})",
                "{{class}}",
            ),
            unit="none",
        ),
        graph(
            "Share of pixels reused",
            "Pixels that were taken from the frame before rather than computed, of all pixels of results.",
            query(f"{reused} / ({pixels} > 0)", "{{class}}"),
            unit="percentunit",
            top=1,
        ),
        graph(
            "Workers",
            "Live workers by class, and those that finish what they hold and take nothing new.",
            query(f"max by (class) (clearfleet_workers{{{CLASS}}})", "{{class}}"),
            query("sum(clearfleet_worker_draining)", "draining"),
            unit="none",
        ),
        graph(
            "Tasks ended",
            "Tasks a second by outcome. `returned` is a worker that stops; `other_fingerprint` one that may not do the task.",
            query(rate("clearfleet_worker_tasks_total", "outcome"), "{{outcome}}"),
            unit="ops",
            stacked=True,
        ),
        graph(
            "Time of a task",
            "How long a task was held by a worker, by step: the middle, and 19 of 20.",
            query(quantile(0.5, "clearfleet_worker_task_seconds", "step"), "{{step}}: 50%"),
            query(quantile(0.95, "clearfleet_worker_task_seconds", "step"), "{{step}}: 95%"),
            unit="s",
        ),
        *process_panels("workers", "clearfleet_worker_info"),
        table(
            "Workers",
            "Workers that are scraped. Only equal fingerprints make equal bits.",
            query(f"clearfleet_worker_info{{{CLASS}}}"),
            columns=["instance", "class", "device", "version", "fingerprint"],
        ),
    ]
    about = "What the workers make, and which stage limits them."
    return dashboard("clearfleet-fleet", "Clearfleet: fleet", about, panels, by_class=True)


def jobs() -> Json:
    requests = "clearfleet_http_requests_total"
    seconds = "clearfleet_http_request_seconds"
    panels = [
        number(
            "Jobs under way",
            "Jobs that are planned, upscaled or assembled.",
            query('sum(max by (state) (clearfleet_jobs{state=~"planning|running|assembling"}))'),
            unit="none",
        ),
        number(
            "Jobs queued",
            "Jobs whose source is there and for which nothing has been done.",
            query('sum(max by (state) (clearfleet_jobs{state="queued"}))'),
            unit="none",
        ),
        number(
            "Jobs failed",
            "Jobs that failed in the time shown, refused inputs included.",
            query(f'sum(increase(clearfleet_jobs_ended_total{{state="failed"}}[$__range])) or on() {ZERO}'),
            unit="none",
            thresholds=[(1, "orange")],
        ),
        number("Requests", "Requests a second to the API.", query(rate(requests)), unit="reqps"),
        number(
            "Errors",
            "Share of answers that are the server's fault (5xx), over 5 minutes.",
            query("clearfleet_http_requests:errors_ratio_rate5m"),
            unit="percentunit",
            thresholds=[(0.01, "orange"), (0.05, "red")],
        ),
        number(
            "Latency (99%)",
            "99% of answers began within this time; without uploads and streams of events, over 5 minutes.",
            query("clearfleet_http_request_seconds:p99_rate5m"),
            unit="s",
            thresholds=[(1, "orange"), (2, "red")],
        ),
        graph(
            "Jobs by state",
            "Jobs of all owners that are not at their end.",
            query('max by (state) (clearfleet_jobs{state!~"done|failed|cancelled|expired"})', "{{state}}"),
            unit="none",
            stacked=True,
        ),
        graph(
            "Jobs ended",
            "Jobs an hour by state.",
            query(f"3600 * {rate('clearfleet_jobs_ended_total', 'state')} {none_yet('state')}", "{{state}}"),
            unit="none",
            stacked=True,
        ),
        graph(
            "Failures by code",
            "Jobs that failed, an hour. `input_…` is the sender's; everything else is ours.",
            query(
                f"3600 * {rate('clearfleet_jobs_ended_total', 'code', 'state=' + chr(34) + 'failed' + chr(34))} {none_yet('code')}",
                "{{code}}",
            ),
            unit="none",
        ),
        graph(
            "Requests by route",
            "Requests a second.",
            query(rate(requests, "method, route"), "{{method}} {{route}}"),
            unit="reqps",
        ),
        graph(
            "Answers by status",
            "Answers a second.",
            query(rate(requests, "status"), "{{status}}"),
            unit="reqps",
            stacked=True,
        ),
        graph(
            "Errors by route",
            "Answers a second that are the server's fault (5xx).",
            query(f"{rate(requests, 'method, route', 'status=~' + chr(34) + '5..' + chr(34))} {none_yet('route')}", "{{method}} {{route}}"),
            unit="reqps",
        ),
        graph(
            "Latency",
            "Time until an answer began; without uploads and streams of events, which last as long as the client likes.",
            *(
                query(quantile(q, seconds, where='method=~"GET|HEAD|DELETE",route!~".*/events"'), f"{q:.0%}")
                for q in (0.5, 0.95, 0.99)
            ),
            unit="s",
        ),
        graph(
            "Latency by route (95%)",
            "19 of 20 answers began within this time. For POST and PATCH it is the client's upload as well.",
            query(quantile(0.95, seconds, "method, route", 'route!~".*/events"'), "{{method}} {{route}}"),
            unit="s",
        ),
        graph(
            "Uploads",
            "Bytes of sources a second, those of refused uploads included.",
            query(rate("clearfleet_http_uploaded_bytes_total", "instance"), "{{instance}}"),
            unit="Bps",
            stacked=True,
            width=8,
        ),
        graph(
            "Streams of events",
            "Open streams (server-sent events), by server.",
            query("sum by (instance) (clearfleet_http_event_streams)", "{{instance}}"),
            unit="none",
            stacked=True,
            width=8,
        ),
        graph(
            "Webhooks",
            "Webhooks a second that were taken, attempts that failed, webhooks given up; and how many wait for another attempt.",
            query(rate("clearfleet_webhooks_delivered_total"), "delivered a second"),
            query(rate("clearfleet_webhooks_failed_attempts_total"), "failed attempts a second"),
            query(rate("clearfleet_webhooks_given_up_total"), "given up a second"),
            query("sum(clearfleet_webhooks_waiting)", "waiting"),
            unit="none",
            width=8,
        ),
        *process_panels("servers", "clearfleet_http_event_streams"),
    ]
    about = "Jobs by state and failure, and how the API answers."
    return dashboard("clearfleet-jobs", "Clearfleet: jobs and API", about, panels)
