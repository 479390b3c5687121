"""What a benchmark ran on: the CPU, and the versions of what was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("nanoaccel", "openvino", "openvino-genai", "onnxruntime", "onnxruntime-genai"),
    *("llama-cpp-python", "torch", "transformers"),
)
_INSTRUCTIONS = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8"),
    *("amx_bf16", "asimddp", "i8mm", "sve"),
)


def machine() -> str:
    """The CPU and its cores, in words."""
    names = _cpu_names()
    return f"{len(names)} cores of {names[0]}, {platform.system()}"


def describe_machine() -> dict[str, Any]:
    """What decides about speed here: the CPU, its instructions, cores, memory, the system."""
    flags: set[str] = set()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "Features")):
            flags |= set(line.split(":", 1)[1].split())
    return {
        "cpu": next(iter(_cpu_names()), platform.machine()),
        "cores": os.cpu_count(),
        "allowed": len(os.sched_getaffinity(0)),
        "instructions": [name for name in _INSTRUCTIONS if name in flags],
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions_here() -> dict[str, str]:
    """Versions of the packages that are measured, where they are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def versions_there(python: str) -> dict[str, str]:
    """The version of llama.cpp's bindings under another interpreter."""
    script = "import importlib.metadata as m; print(m.version('llama-cpp-python'))"
    done = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True)
    return {"llama-cpp-python": done.stdout.strip()}


def _cpu_names() -> list[str]:
    """The name of each core that Linux shows."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
