"""The fleet: what the workers make, and which stage limits them."""

from boards.panels import Json, dashboard, graph, number, query, table
from boards.processes import processes
from boards.promql import CLASS, ZERO, quantile, rate


def board() -> Json:
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
            "Work that is left, by the measured speed of the workers that live; the slowest class.",
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
            "Share of time that a stage works, mean over the workers of a class. The highest line is the limiting stage. Reads of sources overlap, so fetch may pass 100%.",
            query(busy, "{{class}}: {{stage}}"),
            unit="percentunit",
            thresholds=[(0.9, "red")],
        ),
        graph(
            "Time of a stage (95%)",
            "19 of 20 batches (for fetch, reads; for upload, objects) took at most this long.",
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
            query(rate("clearfleet_worker_frames_total", "class", CLASS), "{{class}}"),
            unit="none",
        ),
        graph(
            "Share of pixels reused",
            "Pixels of results that were taken over from an earlier plan rather than made again.",
            query(f"{reused} / ({reused} + {pixels} > 0)", "{{class}}"),
            unit="percentunit",
            top=1,
        ),
        graph(
            "Workers",
            "Live workers by class, and those that finish what they hold and take nothing new.",
            query(f"max by (class) (clearfleet_workers{{{CLASS}}})", "{{class}}"),
            query(f"sum(clearfleet_worker_draining{{{CLASS}}})", "draining"),
            unit="none",
        ),
        graph(
            "Tasks ended",
            "Tasks a second by outcome. `returned` is a worker that stops; `other_fingerprint` one that may not do the task.",
            query(rate("clearfleet_worker_tasks_total", "outcome", CLASS), "{{outcome}}"),
            unit="ops",
            stacked=True,
        ),
        graph(
            "Time of a task",
            "How long a task was held by a worker, by step: the middle, and 19 of 20.",
            query(quantile(0.5, "clearfleet_worker_task_seconds", "step", CLASS), "{{step}}: 50%"),
            query(quantile(0.95, "clearfleet_worker_task_seconds", "step", CLASS), "{{step}}: 95%"),
            unit="s",
        ),
        *processes("workers", "clearfleet_worker_info"),
        table(
            "Workers",
            "Workers that are scraped. Only equal fingerprints make equal bits.",
            query(f"clearfleet_worker_info{{{CLASS}}}"),
            columns=["instance", "class", "device", "version", "fingerprint"],
        ),
    ]
    about = "What the workers make, and which stage limits them."
    return dashboard("clearfleet-fleet", "Clearfleet: fleet", about, panels, by_class=True)
