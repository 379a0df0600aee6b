"""Panels of the processes themselves, for servers and workers alike."""

from boards.panels import Json, graph, query


def processes(of: str, mark: str) -> list[Json]:
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
