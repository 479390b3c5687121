"""What this machine is and what is installed on it, without importing any of it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nanoaccel.folders import cache_folder

_PACKAGES = (
    "nanoaccel",
    "numpy",
    "tokenizers",
    "jinja2",
    "openvino",
    "torch",
    "transformers",
    "optimum-intel",
    "optimum",
    "nncf",
    "openvino-tokenizers",
    "openvino-genai",
    "accelerate",
    "gguf",
    "psutil",
    "huggingface_hub",
    "safetensors",
)
# Instructions that decide how fast, or whether, a weight type runs.
_ISA = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("asimddp", "asimdhp", "i8mm", "bf16", "sve"),
)


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processor: name, cores that this process may use, instruction sets of interest."""

    model: str
    cores: int
    isa: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes in all and bytes free; ``total`` is None when unknown."""

    total: int | None
    free: int


@dataclass(frozen=True, slots=True)
class Environment:
    """All that ``nanoaccel doctor`` looks at.

    Args:
        python: Its version.
        packages: Name to version; None when it is not installed.
        cpu: The processor.
        memory: Of the machine, and what this process may still use.
        cache_folder: Where the sample model and measurements are kept.
        cache_disk: The disk of the cache folder.
    """

    python: str
    packages: dict[str, str | None]
    cpu: Cpu
    memory: Space
    cache_folder: Path
    cache_disk: Space


def look_around(root: Path = Path("/")) -> Environment:
    """Look at the machine.

    Args:
        root: Where /proc and /sys are; tests replace it.
    """
    from nanoaccel.runtime.cpu.memory import free_memory

    cache = cache_folder()
    return Environment(
        python=platform.python_version(),
        packages={name: installed_version(name) for name in _PACKAGES},
        cpu=read_cpu(root),
        memory=Space(_total_memory(), free_memory(root)),
        cache_folder=cache,
        cache_disk=_disk(cache),
    )


def installed_version(name: str) -> str | None:
    """Version of an installed distribution; None when there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def read_cpu(root: Path) -> Cpu:
    """The processor, from /proc/cpuinfo where there is one."""
    try:
        lines = (root / "proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    fields = dict(line.partition(":")[::2] for line in reversed(lines))
    known = {name.strip(): value.strip() for name, value in fields.items()}
    model = known.get("model name", platform.processor())
    flags = known.get("flags", known.get("Features", "")).split()
    return Cpu(
        model if model else platform.machine(),
        _usable_cores(),
        tuple(name for name in _ISA if name in flags),
    )


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    count = os.cpu_count()
    return 1 if count is None else count


def _total_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on this system
        return None


def _disk(folder: Path) -> Space:
    existing: Sequence[Path] = [path for path in (folder, *folder.parents) if path.exists()]
    usage = shutil.disk_usage(existing[0])
    return Space(usage.total, usage.free)
