"""Name, maker and instruction sets of the CPU, from /proc/cpuinfo and the like."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nanoaccel.runtime.cpu.files import read_text

# Those that decide how fast, or whether, a weight type runs; by Linux's names.
X86_INSTRUCTIONS = (
    *("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
)
ARM_INSTRUCTIONS = ("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme")
INSTRUCTIONS = (*X86_INSTRUCTIONS, *ARM_INSTRUCTIONS)

_ARM_MAKERS = {
    0x41: "ARM",
    0x42: "Broadcom",
    0x43: "Cavium",
    0x48: "HiSilicon",
    0x4E: "NVIDIA",
    0x51: "Qualcomm",
    0x53: "Samsung",
    0x61: "Apple",
    0x6D: "Microsoft",
    0xC0: "Ampere",
}


@dataclass(frozen=True, slots=True)
class CpuIdentity:
    """As in ``Topology``."""

    name: str
    vendor: str
    family: int | None
    instructions: tuple[str, ...]


def read_identity(root: Path) -> CpuIdentity:
    """The CPU of a Linux machine.

    Args:
        root: Where /proc is.
    """
    text = read_text(root / "proc/cpuinfo")
    records = _records("" if text is None else text)
    first: Mapping[str, str] = records[0] if records else {}
    board = read_text(root / "proc/device-tree/model")
    model = first.get("model name", "" if board is None else board.rstrip("\0"))
    flags = [set(record.get("flags", record.get("Features", "")).split()) for record in records]
    flags = [one for one in flags if one]
    return CpuIdentity(
        name=model if model else _nameless(),
        vendor=_vendor(first),
        family=_number(first.get("cpu family")),
        instructions=known_instructions(set.intersection(*flags) if flags else ()),
    )


def known_instructions(names: Iterable[str]) -> tuple[str, ...]:
    """The names that matter here, in a fixed order."""
    given = set(names)
    return tuple(name for name in INSTRUCTIONS if name in given)


def _nameless() -> str:
    name = platform.processor()
    return name if name else platform.machine()


def _records(text: str) -> list[dict[str, str]]:
    """The processors of a cpuinfo, each as its fields."""
    records = []
    for part in text.split("\n\n"):
        pairs = (line.partition(":") for line in part.splitlines())
        fields = {name.strip(): value.strip() for name, colon, value in pairs if colon}
        if fields:
            records.append(fields)
    return records


def _vendor(fields: Mapping[str, str]) -> str:
    if "vendor_id" in fields:
        return fields["vendor_id"]
    maker = _number(fields.get("CPU implementer"))
    return "" if maker is None else _ARM_MAKERS.get(maker, hex(maker))


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        return None
