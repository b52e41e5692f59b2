"""The machine and the versions that results belong to."""

import os
import platform
import subprocess


def text_of(argv, directory=None):
    run = subprocess.run(argv, capture_output=True, text=True, cwd=directory)
    return run.stdout.strip() if run.returncode == 0 else None


def describe(python, repository, threads):
    with open("/proc/cpuinfo") as file:
        lines = [line.partition(":") for line in file]
    info = {key.strip(): value.strip() for key, _, value in reversed(lines)}
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) / 2**20
    with open("/etc/os-release") as file:
        system = dict(line.strip().split("=", 1) for line in file if "=" in line)
    flags = info.get("flags", "").split()
    versions = "import torch, transformers; print(torch.__version__, transformers.__version__)"
    torch, transformers = (text_of([python, "-c", versions]) or "? ?").split()
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")
    return {
        "cpu": info.get("model name", platform.machine()),
        "cores": os.cpu_count(),
        "threads": threads,
        "flags": [flag for flag in wanted if flag in flags],
        "memory_gib": round(memory, 1),
        "system": system.get("PRETTY_NAME", "").strip('"') + f", Linux {platform.release()}",
        "torch": torch,
        "transformers": transformers,
        "rustc": text_of(["rustc", "--version"], repository),
        "commit": text_of(["git", "describe", "--always", "--dirty"], repository),
    }
