"""Jobs, by state and by failure, and how the API answers."""

from boards.panels import Json, dashboard, graph, number, query
from boards.processes import processes
from boards.promql import ZERO, none_yet, quantile, rate

FAILED = 'state="failed"'
FAULTS = 'status=~"5.."'
# Uploads last as long as the client takes to send, streams of events until it goes. As in rules.yml.
READS = 'method=~"GET|HEAD|DELETE",route!~".*/events"'


def board() -> Json:
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
                f"3600 * {rate('clearfleet_jobs_ended_total', 'code', FAILED)} {none_yet('code')}",
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
            query(f"{rate(requests, 'method, route', FAULTS)} {none_yet('route')}", "{{method}} {{route}}"),
            unit="reqps",
        ),
        graph(
            "Latency",
            "Time until an answer began; without uploads and streams of events, which last as long as the client likes.",
            *(
                query(quantile(q, seconds, where=READS), f"{q:.0%}")
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
        *processes("servers", "clearfleet_http_event_streams"),
    ]
    about = "Jobs by state and failure, and how the API answers."
    return dashboard("clearfleet-jobs", "Clearfleet: jobs and API", about, panels)
