"""The GPUs, by NVIDIA's exporter (DCGM), beside what the workers say of their devices."""

from boards.panels import Json, dashboard, graph, number, query
from boards.promql import CLASS, rate

CARD = "{{Hostname}}, GPU {{gpu}}"


def board() -> Json:
    used, free = "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"
    panels = [
        number("GPUs", "Devices that are scraped.", query("count(DCGM_FI_DEV_GPU_UTIL)"), unit="none", width=6),
        number(
            "Busy",
            "Share of time that a kernel ran, mean of all GPUs. It says nothing of how well the kernel fills the device.",
            query("avg(DCGM_FI_DEV_GPU_UTIL) / 100"),
            unit="percentunit",
            width=6,
        ),
        number(
            "Tensor cores",
            "Share of time that the tensor cores worked, mean of all GPUs: how near the engine is to the device's limit.",
            query("avg(DCGM_FI_PROF_PIPE_TENSOR_ACTIVE)"),
            unit="percentunit",
            width=6,
        ),
        number(
            "Errors",
            "GPUs whose driver reported an error (XID) since the exporter started.",
            query("count(DCGM_FI_DEV_XID_ERRORS > 0) or on() vector(0)"),
            unit="none",
            thresholds=[(1, "red")],
            width=6,
        ),
        graph(
            "Busy",
            "Share of time that a kernel ran. Low with a backlog: the stages before or after the engine limit it (dashboard Fleet).",
            query("DCGM_FI_DEV_GPU_UTIL / 100", CARD),
            unit="percentunit",
            top=1,
        ),
        graph(
            "Tensor cores",
            "Share of time that the tensor cores worked.",
            query("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", CARD),
            unit="percentunit",
            top=1,
        ),
        graph(
            "Memory in use",
            "Share of the device's memory that is taken. Near 100% the next large picture fails with engine_failed.",
            query(f"{used} / ({used} + {free})", CARD),
            unit="percentunit",
            top=1,
            thresholds=[(0.95, "red")],
        ),
        graph(
            "Memory of workers",
            "What the workers themselves hold on their device.",
            query(f"sum by (instance, class, device) (clearfleet_worker_device_memory_bytes{{{CLASS}}})", "{{class}}, {{instance}}"),
            unit="bytes",
        ),
        graph("Power", "Watts that a device draws.", query("DCGM_FI_DEV_POWER_USAGE", CARD), unit="watt", width=8),
        graph(
            "Temperature",
            "Of the chip. Devices slow down from about 85 °C.",
            query("DCGM_FI_DEV_GPU_TEMP", CARD),
            unit="celsius",
            thresholds=[(85, "red")],
            width=8,
        ),
        graph(
            "Pixels for a watt",
            "Pixels of results a second for each watt that the GPUs draw, the whole fleet.",
            query(f"{rate('clearfleet_worker_pixels_total')} / sum(DCGM_FI_DEV_POWER_USAGE)", "pixels a second and watt"),
            unit="none",
            width=8,
        ),
        graph(
            "Clock",
            "Of the multiprocessors. A drop under load is heat or the power limit.",
            query("DCGM_FI_DEV_SM_CLOCK * 1e6", CARD),
            unit="hertz",
        ),
        graph(
            "Last error (XID)",
            "The number of the last error that the driver reported; 0 for none. 48, 63, 64, 79, 94 and 95 mean hardware.",
            query("DCGM_FI_DEV_XID_ERRORS", CARD),
            unit="none",
        ),
    ]
    about = "How busy the GPUs are, and how well. Needs NVIDIA's DCGM exporter."
    return dashboard("clearfleet-gpu", "Clearfleet: GPU", about, panels, by_class=True)
