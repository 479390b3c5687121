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

PACKAGES = (
    "nanoaccel",
    "numpy",
    "tokenizers",
    "jinja2",
    "openvino",
    "onnxruntime",
    "llguidance",
    "starlette",
    "uvicorn",
    "torch",
    "transformers",
    "nncf",
    "openvino-tokenizers",
    "openvino-genai",
    "accelerate",
    "gguf",
    "psutil",
    "huggingface_hub",
    "safetensors",
    "onnx",
    "onnx_ir",
    "onnxruntime-genai",
    "ml_dtypes",
)


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processor, and what this process may use of it.

    Args:
        model: Its name.
        cpus: CPUs that are online.
        usable: CPUs of these that the process may run on.
        quota: CPUs whose time it may spend; None when nothing limits it.
        threads: Threads that an engine decodes with.
        isa: Instruction sets of interest.
    """

    model: str
    cpus: int
    usable: int
    quota: float | None
    threads: int
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
        operators: What computes graphs for ONNX Runtime, in words.
        memory: Memory of the machine, and what this process may still use.
        cache_folder: Where the sample model and measurements are kept.
        cache_disk: The disk of the cache folder.
    """

    python: str
    packages: dict[str, str | None]
    cpu: Cpu
    operators: str
    memory: Space
    cache_folder: Path
    cache_disk: Space


def look_around(root: Path = Path("/")) -> Environment:
    """Look at the machine.

    Args:
        root: Where /proc and /sys are; tests replace it.
    """
    from nanoaccel.runtime.cpu.memory import free_memory
    from nanoaccel.runtime.native import find_operators

    cache = cache_folder()
    return Environment(
        python=platform.python_version(),
        packages={name: installed_version(name) for name in PACKAGES},
        cpu=read_cpu(root),
        operators=find_operators().described(),
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
    """The processor, and the threads that are planned for it.

    Args:
        root: Where /proc and /sys are.
    """
    from nanoaccel.runtime.configure import configure
    from nanoaccel.runtime.cpu.machine import read_machine
    from nanoaccel.runtime.cpu.threads import plan_threads
    from nanoaccel.runtime.cpu.workload import Workload

    machine, wanted = read_machine(root), Workload(threads=configure({}).engine.threads)
    topology, allowance = machine.topology, machine.allowance
    return Cpu(
        model=topology.name,
        cpus=len(topology.cpus),
        usable=len(allowance.cpus),
        quota=allowance.quota,
        threads=plan_threads(topology, allowance, wanted, os.environ).threads,
        isa=topology.instructions,
    )


def _total_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on this system
        return None


def _disk(folder: Path) -> Space:
    existing: Sequence[Path] = [path for path in (folder, *folder.parents) if os.path.exists(path)]
    usage = shutil.disk_usage(existing[0])
    return Space(usage.total, usage.free)
