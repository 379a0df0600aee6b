#!/usr/bin/env python3
"""Measures the engine "cpu" against the engines that people would pick instead, in turn and in one sitting.

    worker/vdsr/bench-cpu.py VDSR PEERS_SCRIPT WEIGHTS VENV [--size 512x512] [--rounds 3]

VDSR is the built program, PEERS_SCRIPT the shared `peers_cpu.py`, VENV a folder for the Python packages that it needs, made
at the first call. Prints one JSON object a figure: figure, value, unit, goal, ok. Exits with 1 when a goal is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = ["onnxruntime", "openvino", "ncnn", "onnx", "numpy", "safetensors"]


def prepare(folder: Path) -> Path:
    """The Python of the virtual environment, which is made whole or not at all."""
    python, stamp = folder / "bin/python3", folder / "complete"
    if not stamp.exists():
        print("bench-cpu: installing the other engines from PyPI, once", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
        stamp.touch()
    return python


def objects(command: list, **variables: str) -> list[dict]:
    """The JSON objects that a command prints."""
    environment = {**os.environ, **variables}
    done = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return [json.loads(line) for line in done.stdout.splitlines()]


def measure(args: argparse.Namespace, python: Path) -> tuple[dict[str, float], float]:
    """Medians over the rounds of each engine's effective GFLOP/s, and our largest difference to the reference engine in f32."""
    rates: dict[str, list[float]] = {}
    difference = 0.0
    for _ in range(args.rounds):
        for name, precision, threads, variables in [
            ("cpu", "f32", args.threads, {}),
            ("cpu, 1 thread", "f32", 1, {}),
            ("cpu, avx2", "f32", args.threads, {"VDSR_CPU_PATH": "avx2"}),
            ("cpu, bf16", "bf16", args.threads, {}),
            ("cpu, bf16, 1 thread", "bf16", 1, {}),
        ]:
            command = [args.vdsr, "bench", "--engine", "cpu", "--weights", args.weights, "--size", args.size]
            [ours] = objects([*command, "--precision", precision, "--threads", threads, "--json"], **variables)
            rates.setdefault(name, []).append(ours["gflops"])
            if precision == "f32":
                difference = max(difference, ours["max_abs_diff"])
        peers = [python, args.peers, "--weights", args.weights, "--size", args.size, "--threads", args.threads]
        for peer in objects(peers):
            rates.setdefault(peer["engine"], []).append(peer["gflops"])
    return {name: statistics.median(found) for name, found in rates.items()}, difference


def report(figure: str, value: float, unit: str, goal: str = "", ok: bool | None = None) -> bool:
    print(json.dumps({"figure": figure, "value": float(f"{value:.4g}"), "unit": unit, "goal": goal, "ok": ok}), flush=True)
    return ok is not False


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ["vdsr", "peers", "weights", "venv"]:
        parser.add_argument(name, type=Path)
    parser.add_argument("--size", default="512x512")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    rates, difference = measure(args, prepare(args.venv))
    for name, rate in rates.items():
        report(f"rate of {name}", rate, "effective GFLOP/s")
    best = max(rate for name, rate in rates.items() if "-f32" in name)

    def ratio(figure: str, value: float, least: float) -> bool:
        return report(figure, value, "ratio", f">= {least}", value >= least)

    met = [
        ratio("cpu f32 over the best f32 peer", rates["cpu"] / best, 1.3),
        ratio("cpu f32 over ncnn's Winograd", rates["cpu"] / rates["ncnn-f32-winograd"], 1.3),
        ratio("cpu bf16 over OpenVINO's bf16", rates["cpu, bf16"] / rates["openvino-bf16"], 1.2),
        ratio("cpu f32 held to AVX2 over the best f32 peer that is not", rates["cpu, avx2"] / best, 1.0),
        report("largest difference to the reference", difference, "luma from 0 to 1", "<= 1e-4", difference <= 1e-4),
    ]
    if args.threads == 2:
        for name in ["cpu", "cpu, bf16"]:
            met.append(ratio(f"2 threads over 1, {name}", rates[name] / rates[f"{name}, 1 thread"], 1.9))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
