"""What a profile found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nanoaccel.runtime.backends import BackendInfo, OperatorTime
from nanoaccel.runtime.engine.phases import Phase
from nanoaccel.runtime.tools.profiling.steps import StepRecord, phase_seconds


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Seconds from nothing to the first pass.

    Args:
        phases: Name and seconds, in the order in which they happen.
    """

    phases: tuple[tuple[str, float], ...]

    @property
    def seconds(self) -> float:
        """In all."""
        return sum(seconds for _, seconds in self.phases)


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes of this process in memory, by kind; what cannot be known here is None.

    Args:
        weights: File of the graph's weights, which lies in memory once.
        cache: Keys and values of the tokens that ran.
        python: Interpreter and libraries, before the model was loaded.
        total: All that the process holds.
    """

    weights: int
    cache: int
    python: int | None
    total: int | None

    @property
    def runtime(self) -> int | None:
        """What is left: the runtime's arenas, repacked weights, compiled code."""
        if self.total is None or self.python is None:
            return None
        return max(0, self.total - self.python - self.weights - self.cache)


@dataclass(frozen=True, slots=True)
class MachineSpeed:
    """What the machine did in the same minute.

    Args:
        bandwidth: Bytes a second that threads read from a buffer far larger than the caches.
        compute: f32 operations a second of a large matrix product in numpy.
        threads: Threads that read.
        int8: Products of int8 a second, as NanoAccel's operators multiply them; None without them.
    """

    bandwidth: float
    compute: float
    threads: int
    int8: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassShape:
    """What a pass is over.

    Args:
        name: In words.
        tokens: Tokens of all its sequences.
        logits: Those of them that have logits.
        past: Cached tokens of each sequence.
        cache_bytes: Bytes of all the cached tokens.
    """

    name: str
    tokens: int
    logits: int
    past: int
    cache_bytes: int


@dataclass(frozen=True, slots=True)
class OperatorProfile:
    """Operators of some equal passes.

    Args:
        passes: How many.
        forward: Seconds of all of them, from outside.
        operators: In the order in which they run.
        looked_up: Bytes of weights of which a pass reads but a few rows.
        shape: What each pass is over; None when that is not told.
    """

    passes: int
    forward: float
    operators: Sequence[OperatorTime]
    looked_up: int = 0
    shape: PassShape | None = None

    @property
    def seconds(self) -> float:
        """Seconds of all operators together."""
        return sum(operator.seconds for operator in self.operators)

    def by_kind(self) -> list[tuple[str, float]]:
        """Seconds of each kind, the longest first."""
        totals: dict[str, float] = {}
        for operator in self.operators:
            totals[operator.kind] = totals.get(operator.kind, 0.0) + operator.seconds
        return sorted(totals.items(), key=lambda item: -item[1])

    def by_layer(self) -> list[tuple[int | None, float]]:
        """Seconds of each layer; last what stands around them."""
        totals: dict[int | None, float] = {}
        for operator in self.operators:
            totals[operator.layer] = totals.get(operator.layer, 0.0) + operator.seconds
        return sorted(totals.items(), key=lambda item: (item[0] is None, item[0] or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A prompt and its continuation.

    Args:
        steps: Steps of the engine.
        wall: Seconds from the call of ``generate`` to the end of the last step.
        cpu: Seconds of all threads of the process in that time.
        generated: Tokens of the continuation.
    """

    steps: Sequence[StepRecord]
    wall: float
    cpu: float
    generated: int

    def phases(self, *, decode: bool | None = None) -> dict[Phase, float]:
        """Seconds by phase: of decode steps, of the others, or of all."""
        steps = self.steps if decode is None else self.of_kind(decode)
        return phase_seconds(steps)

    def of_kind(self, decode: bool) -> list[StepRecord]:
        """The steps that decode, or those with pieces of a prompt."""
        return [step for step in self.steps if step.decodes == decode]

    @property
    def unexplained(self) -> float:
        """Seconds of the wall time that no phase has: to the first step, and between steps."""
        return self.wall - sum(step.seconds for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """All that ``profile_bundle`` found.

    Args:
        backend: What ran.
        others: Other backends that the bundle has graphs for.
        parameters: Weights of the model; None when the folder does not say.
        token_bytes: Bytes of a token in the cache.
        cold_start: By phase.
        run: A prompt and its continuation, with nothing but the engine's phases timed.
        prefill, decode: Their operators, in passes of their own; None where the backend cannot
            tell.
        wider: The same over eight tokens, and over a token of each of eight sequences.
        memory: After the run.
        machine: Its speed.
    """

    backend: BackendInfo
    others: tuple[str, ...]
    parameters: int | None
    token_bytes: int
    cold_start: ColdStart
    run: RunFacts
    prefill: OperatorProfile | None
    decode: OperatorProfile | None
    memory: MemoryUse
    machine: MachineSpeed
    wider: tuple[OperatorProfile, ...] = ()

    @property
    def passes(self) -> list[OperatorProfile]:
        """All kinds of passes whose operators were timed, the shortest first."""
        return [found for found in (self.decode, *self.wider, self.prefill) if found is not None]
