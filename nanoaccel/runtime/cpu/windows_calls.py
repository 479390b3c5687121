"""The calls that tell what a Windows machine is."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from dataclasses import dataclass

_ALL_RELATIONS = 0xFFFF
_CPU_RATE, _EXTENDED_LIMITS = 15, 9  # classes of QueryInformationJobObject
_HARD_CAP = 0x1 | 0x4  # enabled, and a cap
_JOB_MEMORY, _PROCESS_MEMORY = 0x200, 0x100
# IsProcessorFeaturePresent knows no more than these.
_FEATURES = {40: "avx2", 41: "avx512f", 19: "asimd", 43: "asimddp", 46: "sve", 47: "sve2"}
_REGISTRY = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsAnswers:
    """What the calls gave.

    Args:
        processors: Records of GetLogicalProcessorInformationEx, for all relations.
        groups: Processor groups of this process.
        process_mask: Its affinity within its group; 0 when it spans several.
        cpu_count: CPUs by the simplest call; for when the records are empty.
        name, vendor, family: Of the CPU, from the registry.
        instructions: By Linux's names, as far as Windows tells.
        job_rate: Hard cap of the job on CPU time, 10,000 being all CPUs; None without one.
        job_memory: Bytes that the job allows; None without a limit.
    """

    processors: bytes
    groups: tuple[int, ...] = (0,)
    process_mask: int = 0
    cpu_count: int = 1
    name: str = ""
    vendor: str = ""
    family: int | None = None
    instructions: tuple[str, ...] = ()
    job_rate: int | None = None
    job_memory: int | None = None


def ask_windows() -> WindowsAnswers:  # pragma: no cover - needs Windows
    """Ask this machine; what a call refuses is left out."""
    if sys.platform != "win32":
        raise OSError("this is not Windows")
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    name, vendor, family = _registry()
    count = os.cpu_count()
    return WindowsAnswers(
        processors=_processors(kernel),
        groups=_groups(kernel),
        process_mask=_process_mask(kernel),
        cpu_count=1 if count is None else count,
        name=name,
        vendor=vendor,
        family=family,
        instructions=tuple(
            flag for code, flag in _FEATURES.items() if kernel.IsProcessorFeaturePresent(code)
        ),
        job_rate=_job_rate(kernel),
        job_memory=_job_memory(kernel),
    )


def _processors(kernel: ctypes.CDLL) -> bytes:  # pragma: no cover
    size = ctypes.c_uint32(0)
    kernel.GetLogicalProcessorInformationEx(_ALL_RELATIONS, None, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(max(1, size.value))
    done = kernel.GetLogicalProcessorInformationEx(_ALL_RELATIONS, buffer, ctypes.byref(size))
    return buffer.raw[: size.value] if done else b""


def _groups(kernel: ctypes.CDLL) -> tuple[int, ...]:  # pragma: no cover
    count = ctypes.c_ushort(64)
    groups = (ctypes.c_ushort * count.value)()
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    if not kernel.GetProcessGroupAffinity(process, ctypes.byref(count), groups):
        return (0,)
    return tuple(groups[: count.value])


def _process_mask(kernel: ctypes.CDLL) -> int:  # pragma: no cover
    process, system = ctypes.c_size_t(0), ctypes.c_size_t(0)
    handle = ctypes.c_void_p(kernel.GetCurrentProcess())
    kernel.GetProcessAffinityMask(handle, ctypes.byref(process), ctypes.byref(system))
    return process.value


def _job(kernel: ctypes.CDLL, kind: int, size: int) -> bytes | None:  # pragma: no cover
    """Information on the job of this process; None when it is in none."""
    buffer = ctypes.create_string_buffer(size)
    done = kernel.QueryInformationJobObject(None, kind, buffer, size, None)
    return buffer.raw if done else None


def _job_rate(kernel: ctypes.CDLL) -> int | None:  # pragma: no cover
    raw = _job(kernel, _CPU_RATE, 8)
    if raw is None:
        return None
    flags, rate = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little")
    return rate if flags & _HARD_CAP == _HARD_CAP else None


def _job_memory(kernel: ctypes.CDLL) -> int | None:  # pragma: no cover
    # JOBOBJECT_EXTENDED_LIMIT_INFORMATION on 64 bits: LimitFlags at 16, ProcessMemoryLimit at
    # 112, JobMemoryLimit at 120, 144 bytes in all.
    raw = _job(kernel, _EXTENDED_LIMITS, 144)
    if raw is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    flags = int.from_bytes(raw[16:20], "little")
    limits = [
        int.from_bytes(raw[at : at + 8], "little")
        for flag, at in ((_PROCESS_MEMORY, 112), (_JOB_MEMORY, 120))
        if flags & flag
    ]
    return min(limits, default=None)


def _registry() -> tuple[str, str, int | None]:  # pragma: no cover
    """Name, vendor and family of the first CPU."""
    if sys.platform != "win32":
        return "", "", None
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _REGISTRY) as key:
            name = str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
            vendor = str(winreg.QueryValueEx(key, "VendorIdentifier")[0]).strip()
            identifier = str(winreg.QueryValueEx(key, "Identifier")[0])
    except OSError:
        return "", "", None
    found = re.search(r"Family (\d+)", identifier)
    return name, vendor, None if found is None else int(found[1])
