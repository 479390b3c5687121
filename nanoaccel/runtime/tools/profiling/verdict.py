"""What the figures of a profile mean, in words: pure functions."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from nanoaccel.registry import BACKENDS
from nanoaccel.runtime.tools.profiling.facts import Profile
from nanoaccel.runtime.tools.profiling.roles import own_share

# Of the bandwidth that was measured: from there on, only fewer bytes make it faster.
_NEAR_THE_LIMIT = 0.65
_MUCH_PYTHON = 0.1
_IDLE = 0.7
_MUCH_BETWEEN = 0.15
_MUCH_STOCK = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the verdict depends on.

    Args:
        decode_bytes: Bytes that a decode pass reads: all weights, and the cache of its sequences.
        decode_seconds: Seconds of its forward pass.
        decode_outside: Share of a decode step outside the graph and outside drafters.
        decode_draft: Share of a decode step in which draft tokens are proposed and judged.
        prefill_bytes: As ``decode_bytes``, of a pass over a piece of the prompt; None without one.
        prefill_seconds: Seconds of that pass.
        prefill_operations: Operations of that pass; None when the number of weights is not known.
        between: Share of a decode pass between its operators; None when not known.
        bandwidth: Bytes a second.
        compute: f32 operations a second.
        int8: int8 operations a second of NanoAccel's operators; None without them.
        stock: Share of the runtime's stock operators in a decode pass's operators; None where
            there are no others.
        can_be_own: Whether this runtime has a place for NanoAccel's operators.
        threads: Threads that computed.
        cores: Cores that the plan would use.
        busy: CPUs that were busy on average.
        runtime: Name of the backend.
        others: Other backends that this bundle has graphs for.
    """

    decode_bytes: float
    decode_seconds: float
    decode_outside: float
    decode_draft: float
    prefill_bytes: float | None
    prefill_seconds: float
    prefill_operations: float | None
    between: float | None
    bandwidth: float
    compute: float
    threads: int
    cores: int
    busy: float
    runtime: str
    others: tuple[str, ...] = ()
    int8: float | None = None
    stock: float | None = None
    can_be_own: bool = False

    @property
    def decode_share(self) -> float:
        """Share of the bandwidth that decoding uses."""
        return self.decode_bytes / self.decode_seconds / self.bandwidth

    @property
    def prefill_share(self) -> float | None:
        """Share of the bandwidth that prompts use."""
        if self.prefill_bytes is None:
            return None
        return self.prefill_bytes / self.prefill_seconds / self.bandwidth


@dataclass(frozen=True, slots=True)
class Verdict:
    """Sentences.

    Args:
        findings: What bounds it.
        advice: What to try next, the most promising first.
    """

    findings: tuple[str, ...]
    advice: tuple[str, ...]


def figures_of(profile: Profile, cores: int) -> Figures:
    """The figures of a profile.

    Args:
        profile: With one decode step or more.
        cores: Cores that a plan would use here.
    """
    run = profile.run
    decode, prompt = run.of_kind(True), run.of_kind(False)
    assert decode, "tokens were generated"
    weights = profile.memory.weights - (0 if profile.decode is None else profile.decode.looked_up)
    seconds = sum(step.seconds for step in decode)
    phases = run.phases(decode=True)
    largest = max(prompt, key=lambda step: step.tokens, default=None)
    operations = None
    if largest is not None and profile.parameters is not None:
        operations = 2.0 * profile.parameters * largest.tokens
    found = profile.decode
    own = None if found is None else own_share(found)
    int8 = profile.machine.int8
    return Figures(
        decode_bytes=weights
        + profile.token_bytes * statistics.fmean(step.context for step in decode),
        decode_seconds=statistics.median(step.of("forward") for step in decode),
        decode_outside=1 - (phases["forward"] + phases["draft"]) / seconds,
        decode_draft=phases["draft"] / seconds,
        prefill_bytes=None
        if largest is None
        else weights + profile.token_bytes * float(largest.context),
        prefill_seconds=0.0 if largest is None else largest.of("forward"),
        prefill_operations=operations,
        between=None if found is None else max(0.0, 1 - found.seconds / found.forward),
        bandwidth=profile.machine.bandwidth,
        compute=profile.machine.compute,
        threads=profile.backend.threads,
        cores=cores,
        busy=run.cpu / run.wall,
        runtime=profile.backend.name,
        others=profile.others,
        int8=None if own is None or int8 is None else 2 * int8,
        stock=None if own is None else 1 - own,
        can_be_own=BACKENDS.facts(profile.backend.name).own_operators,
    )


def judge(figures: Figures) -> Verdict:
    """What bounds the model here, and what to try next."""
    return Verdict(_findings(figures), tuple(_advice(figures)))


def _findings(figures: Figures) -> tuple[str, ...]:
    share = figures.decode_share
    read = f"decode reads {figures.decode_bytes / 1e6:.0f} MB a pass: {_percent(share)} of what"
    bound = ", which is its limit" if share >= _NEAR_THE_LIMIT else ""
    found = [f"{read} this memory can do{bound}"]
    found += _prefill(figures)
    if figures.stock is not None and figures.stock >= _MUCH_STOCK:
        found.append(
            f"{_percent(figures.stock)} of the operators' time in a decode pass is left in the "
            "runtime's stock ones"
        )
    found.append(f"{_percent(figures.decode_outside)} of a decode step is Python")
    if figures.decode_draft > 0.005:
        found.append(f"{_percent(figures.decode_draft)} of a decode step goes into guesses")
    if figures.between is not None and figures.between >= _MUCH_BETWEEN:
        found.append(
            f"{_percent(figures.between)} of a decode pass lies between the operators: "
            "what calls them, and waiting for threads"
        )
    found.append(f"{figures.busy:.1f} CPUs were busy, with {_count(figures.threads, 'thread')}")
    return tuple(found)


def _prefill(figures: Figures) -> list[str]:
    share = figures.prefill_share
    if share is None:
        return []
    if share >= _NEAR_THE_LIMIT:
        return [f"prefill is bound by memory: {_percent(share)} of what it can do"]
    done = ""
    if figures.prefill_operations is not None:
        rate = figures.prefill_operations / figures.prefill_seconds
        done = f"; it does {_compared(rate, figures)}"
    return [
        f"prefill is compute-bound: it needs {_percent(share)} of what this memory can do{done}"
    ]


def _compared(rate: float, figures: Figures) -> str:
    """Operations a second, beside what multipliers of the kind that is used can do."""
    if figures.int8 is None:
        share = _percent(rate / figures.compute)
        return f"{rate / 1e9:.0f} GFLOP/s, {share} of a matrix product of f32 in numpy"
    share = _percent(rate / figures.int8)
    return f"{rate / 1e9:.0f} G operations/s, {share} of what the int8 multipliers can do"


def _advice(figures: Figures) -> list[str]:
    advice = []
    if figures.can_be_own and figures.stock is None:
        advice.append(
            "NanoAccel's own operators, which are not used here: nanoaccel doctor says why"
        )
    if figures.threads < figures.cores:
        advice.append(f"more threads: --threads {figures.cores}")
    if figures.decode_share >= _NEAR_THE_LIMIT:
        advice.append(
            "smaller weights (nanoaccel export --weights int4, or --recipe smallest), or several "
            "tokens a pass: guesses (--speculation auto), requests that run together"
        )
    elif figures.decode_outside < _MUCH_PYTHON:
        advice.append("nanoaccel tune BUNDLE: what this machine does best with this model")
        if figures.others:
            advice.append(f"another runtime: --backend {figures.others[0]}")
        elif figures.runtime == "openvino":
            advice.append(
                "nanoaccel export --runtime onnx: its cost per call is lower, which counts most "
                "for small models"
            )
    if figures.decode_outside >= _MUCH_PYTHON:
        advice.append(
            "the model is so small that Python counts: requests that run together share it"
        )
    if figures.busy < _IDLE * figures.threads:
        advice.append(
            "look for what keeps threads waiting: another program, a CPU quota (nanoaccel cpu), "
            "more threads than the model can use"
        )
    return advice


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
