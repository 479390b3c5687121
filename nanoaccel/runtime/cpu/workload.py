"""What threads are wanted for, and what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nanoaccel.errors import ConfigError

Role = Literal["decode", "prefill", "draft"]
PlannedPrecision = Literal["f32", "bf16", "f16"]
Spinning = Literal["pass", "never"]
CoreChoice = Literal["any", "performance", "efficiency"]

_ROLES = ("decode", "prefill", "draft")
_PRECISIONS = ("auto", "f32", "bf16", "f16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a graph is to do, and what the user insists on.

    Args:
        role: "decode" reads all weights for a few tokens, and is what an engine's graph does most;
            "prefill" computes on many tokens; "draft" guesses beside a target that then waits.
        engines: Engines that share the machine; each gets its part.
        engine: Index of the engine among them, from 0.
        weight_group_size: Weights that share a scale; None when they are not in groups.
        quantization_group: Values of an activation that are quantized together, 0 none at all; None
            lets the plan choose.
        memory: Bytes that the engine needs; None when unknown.
        threads: The user's number; None lets the plan choose.
        node: The user's NUMA node; None lets the plan choose.
        smt: Whether to use all CPUs of a core; None lets the plan choose.
        precision: "auto" lets the plan choose.

    Raises:
        ConfigError: A value is out of range.
    """

    role: Role = "decode"
    engines: int = 1
    engine: int = 0
    weight_group_size: int | None = None
    quantization_group: int | None = None
    memory: int | None = None
    threads: int | None = None
    node: int | None = None
    smt: bool | None = None
    precision: Literal["auto", "f32", "bf16", "f16"] = "auto"

    def __post_init__(self) -> None:
        _check_choice("role", self.role, _ROLES)
        _check_choice("precision", self.precision, _PRECISIONS)
        _check_number("engines", self.engines, 1)
        _check_number("engine", self.engine, 0)
        if self.engine >= self.engines:
            raise ConfigError(
                f"engine={self.engine} is out of range", f"There are {self.engines}, from 0"
            )
        for name in ("threads", "weight_group_size"):
            _check_number(name, getattr(self, name), 1)
        for name in ("node", "memory", "quantization_group"):
            _check_number(name, getattr(self, name), 0)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was decided: the choice's name, its value, and the cause."""

    choice: str
    value: str
    why: str

    def __str__(self) -> str:
        return f"{self.choice} {self.value}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadPlan:
    """How a graph is to use the machine.

    Args:
        threads: Threads that compute, the calling one included.
        cpus: Where they should run, at least as many; in order of preference.
        bind_cpus: Whether they must be kept there: the process may run on other cores too, which
            are slower, far from the memory, or another engine's.
        node: The NUMA node of ``cpus``; None when there is one only, or several are used.
        bind_memory: Whether to allocate on that node only.
        smt: Whether several threads share a core.
        pin: Whether the runtime may nail each thread to one CPU.
        core_choice: Kind of cores, where the machine has several.
        spinning: Whether threads wait busily: "pass" between the operators of one pass only.
        precision: What to compute in; None as the runtime likes.
        quantization_group: Values of an activation that are quantized together: 0 none at all,
            None as the runtime likes.
        reasons: One for each choice.
        warnings: Lines about settings that were ignored.
    """

    threads: int
    cpus: tuple[int, ...]
    bind_cpus: bool
    node: int | None
    bind_memory: bool
    smt: bool
    pin: bool
    core_choice: CoreChoice
    spinning: Spinning
    precision: PlannedPrecision | None
    quantization_group: int | None
    reasons: tuple[Reason, ...]
    warnings: tuple[str, ...] = ()


def _check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value!r} is unknown", f"Choose one of {', '.join(allowed)}")


def _check_number(name: str, value: object, least: int) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{name}={value!r} is not a whole number", f"It must be {least} or more")
    if value < least:
        raise ConfigError(f"{name}={value} is out of range", f"It must be {least} or more")
