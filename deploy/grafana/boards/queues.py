"""The scheduler and its queues: what waits, for how long, whose it is, and what goes wrong."""

from boards.panels import Json, dashboard, graph, number, query
from boards.promql import CLASS, ZERO, none_yet, quantile, rate

OURS = 'queue=~"clearfleet\\\\..*"'


def board() -> Json:
    panels = [*_numbers(), *_waiting(), *_owners(), *_troubles(), *_broker()]
    about = "What waits, for how long and whose it is; retries, dead letters and audits; the broker."
    return dashboard("clearfleet-queues", "Clearfleet: scheduler and queues", about, panels, by_class=True)


def _numbers() -> list[Json]:
    return [
        number(
            "Active schedulers",
            "Servers that take themselves for the scheduler. One, but for the seconds of a fail-over.",
            query("sum(clearfleet_scheduler_active)"),
            unit="none",
            thresholds=[(2, "red")],
        ),
        number(
            "Backlog",
            "Work that is left of all jobs, in seconds of one worker of its class.",
            query(f"sum(max by (class) (clearfleet_backlog_seconds{{{CLASS}}}))"),
            unit="s",
        ),
        number(
            "Oldest wait, interactive",
            "How long the oldest photo or preview has waited that nobody has begun.",
            query('max(clearfleet_oldest_wait_seconds{lane="interactive"})'),
            unit="s",
            thresholds=[(30, "orange"), (60, "red")],
        ),
        number(
            "Oldest wait, bulk",
            "How long the oldest batch of a film has waited that nobody has begun.",
            query('max(clearfleet_oldest_wait_seconds{lane="bulk"})'),
            unit="s",
            thresholds=[(1800, "orange"), (3600, "red")],
        ),
        number(
            "Dead letters",
            "Steps, in the time shown, that were delivered as often as may be without an end.",
            query("sum(increase(clearfleet_dead_letters_total[$__range]))"),
            unit="none",
            thresholds=[(1, "red")],
        ),
        number(
            "Distrusted workers",
            "Workers whose batches differed from those of others with the same fingerprint.",
            query("max(clearfleet_workers_distrusted)"),
            unit="none",
            thresholds=[(1, "red")],
        ),
    ]


def _waiting() -> list[Json]:
    return [
        graph(
            "Backlog",
            "Work that is left of all jobs by class, in seconds of one worker.",
            query(f"max by (class) (clearfleet_backlog_seconds{{{CLASS}}})", "{{class}}"),
            unit="s",
            stacked=True,
            width=8,
        ),
        graph(
            "Jobs not ended",
            "Jobs by class; and steps of planning and putting together, which need no engine.",
            query(f"max by (class) (clearfleet_backlog_jobs{{{CLASS}}})", "{{class}}"),
            query("max(clearfleet_media_backlog_tasks)", "media steps"),
            unit="none",
            width=8,
        ),
        graph(
            "Until the backlog is cleared",
            "By the measured speed of the workers that live. Nothing is shown for a class without workers.",
            query(f"class:clearfleet_backlog_clear:seconds{{{CLASS}}}", "{{class}}"),
            unit="s",
            thresholds=[(4 * 3600, "red")],
            width=8,
        ),
        graph(
            "Wait by lane",
            "How long tasks waited for a worker, their time in line included: the middle, and 19 of 20.",
            query(quantile(0.5, "clearfleet_lane_wait_seconds", "lane"), "{{lane}}: 50%"),
            query(quantile(0.95, "clearfleet_lane_wait_seconds", "lane"), "{{lane}}: 95%"),
            unit="s",
        ),
        graph(
            "Oldest wait by lane",
            "How long the oldest task has waited that nobody has begun.",
            query("max by (lane) (clearfleet_oldest_wait_seconds)", "{{lane}}"),
            unit="s",
        ),
    ]


def _owners() -> list[Json]:
    return [
        graph(
            "Backlog by owner",
            "The ten owners with the most work left, in seconds of one worker. Names are digests: `printf %s NAME | sha256sum` finds one.",
            query("max by (owner) (clearfleet_owner_backlog_seconds)", "{{owner}}"),
            unit="s",
            stacked=True,
            width=8,
        ),
        graph(
            "Share by owner",
            "Share of each of these owners of all tasks that are out now. Turns go by owner, so owners with work draw level.",
            query("max by (owner) (clearfleet_owner_share_ratio)", "{{owner}}"),
            unit="percentunit",
            stacked=True,
            top=1,
            width=8,
        ),
        graph(
            "Place by owner",
            "How many owners have a turn before each of these. A place that does not change is an owner who is not served.",
            query("max by (owner) (clearfleet_owner_place)", "{{owner}}"),
            unit="none",
            width=8,
        ),
    ]


def _troubles() -> list[Json]:
    def rare(metric: str, label: str) -> Json:
        return query(f"3600 * {rate(metric, label)} {none_yet(label)}", f"{{{{{label}}}}}")

    return [
        graph(
            "Batches finished",
            "Batches a second by class.",
            query(rate("clearfleet_batches_done_total", "class", CLASS), "{{class}}"),
            unit="ops",
            stacked=True,
            width=8,
        ),
        graph(
            "Retries by code",
            "Steps an hour that failed for the moment and are tried again.",
            rare("clearfleet_retries_total", "code"),
            unit="none",
            width=8,
        ),
        graph(
            "Dead letters and generations",
            "An hour. A generation begins when a job is cancelled, paused, resumed or redone, or when the broker lost its queues.",
            query(f"3600 * {rate('clearfleet_dead_letters_total')}", "dead letters"),
            query(f"3600 * {rate('clearfleet_generations_total')}", "generations"),
            unit="none",
            width=8,
        ),
        graph(
            "Audits",
            "Batches an hour that were computed by a second worker as well, by what the comparison gave.",
            rare("clearfleet_audits_total", "outcome"),
            unit="none",
            width=8,
        ),
        graph(
            "Messages to the scheduler",
            "Messages a second that the active scheduler read, by kind.",
            query(rate("clearfleet_scheduler_messages_total", "kind"), "{{kind}}"),
            unit="ops",
            stacked=True,
            width=8,
        ),
        graph(
            "Who schedules",
            "1 for the server that schedules; and how often a server became the scheduler in the time of a pixel.",
            query("max by (instance) (clearfleet_scheduler_active)", "{{instance}}"),
            query("sum(increase(clearfleet_scheduler_activations_total[$__rate_interval]))", "activations"),
            unit="none",
            width=8,
        ),
    ]


def _broker() -> list[Json]:
    def by_queue(metric: str) -> Json:
        return query(f"max by (queue) (rabbitmq_detailed_queue_{metric}{{{OURS}}})", "{{queue}}")

    return [
        graph(
            "Messages that wait",
            "Messages of a queue that nobody holds.",
            by_queue("messages_ready"),
            unit="none",
            width=8,
        ),
        graph(
            "Messages that are held",
            "Messages that a worker or a server works on and has not acknowledged.",
            by_queue("messages_unacked"),
            unit="none",
            width=8,
        ),
        graph(
            "Readers of queues",
            "Consumers of a queue; of those of clearfleet.control one is active.",
            by_queue("consumers"),
            unit="none",
            width=8,
        ),
        graph(
            "Connected to the broker",
            "Servers and workers that have no connection, and connections that were made in the time of a pixel.",
            query(f"count(clearfleet_broker_connected == 0) or on() {ZERO}", "disconnected"),
            query("sum(increase(clearfleet_broker_connections_total[$__rate_interval]))", "connections made"),
            unit="none",
            width=8,
        ),
        graph(
            "Messages of the broker",
            "Messages a second that RabbitMQ took and gave out, all queues together.",
            query(rate("rabbitmq_global_messages_received_total"), "published"),
            query(rate("rabbitmq_global_messages_delivered_total"), "delivered"),
            query(rate("rabbitmq_global_messages_redelivered_total"), "delivered again"),
            unit="ops",
            width=8,
        ),
        graph(
            "Resources of the broker",
            "Share of its limit at which RabbitMQ blocks publishers: memory; and for the disk, its least free space of what is free.",
            query("max by (instance) (rabbitmq_process_resident_memory_bytes / rabbitmq_resident_memory_limit_bytes)", "memory, {{instance}}"),
            query(
                "max by (instance) (rabbitmq_disk_space_available_limit_bytes / rabbitmq_disk_space_available_bytes)",
                "disk, {{instance}}",
            ),
            unit="percentunit",
            top=1,
            thresholds=[(0.9, "red")],
            width=8,
        ),
    ]
