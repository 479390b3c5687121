"""Runs passes of one sequence on a backend that notes what its operators take."""

from __future__ import annotations

import time

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends import Backend, OperatorTimer
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.tools.profiling.facts import OperatorProfile
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import StepPlan

_WARM_UP = 2
_MOST_PASSES = 32  # the noted means are steady then, and ONNX Runtime's file stays small
_LEAST_PASSES = 3


def measure_operators(
    backend: Backend, *, prompt: int, tokens: int, chunk: int, pages: HugePages
) -> tuple[OperatorProfile | None, OperatorProfile | None]:
    """Operators of a prompt's passes and of single tokens behind it.

    Args:
        backend: Loaded with ``profile``; its cache is not allocated yet.
        prompt: Tokens of the prompt.
        tokens: Passes of one token each.
        chunk: Tokens of a prompt's pass at most.
        pages: What was loaded since is gathered, as it is for an engine.

    Returns:
        For the prompt and for single tokens; None for both if the backend cannot tell.

    Raises:
        ConfigError: The cache does not fit in memory.
    """
    if not isinstance(backend, OperatorTimer):
        return None, None
    size = min(prompt, chunk)
    many = max(_LEAST_PASSES, min(tokens, _MOST_PASSES))
    past = max(size, prompt)
    blocks = -(-(past + many + _WARM_UP + 1) // backend.info.block_size)
    backend.allocate_cache(blocks)
    table = [list(range(blocks))]
    # Each pass of the prompt's kind begins anew: what matters is its size, and it stays the same.
    first = [even_plan(table, 0, size)] * _LEAST_PASSES
    single = [even_plan(table, past + place, 1) for place in range(many)]
    seconds = []
    for plans in (first, single):
        for _ in range(_WARM_UP):
            backend.forward(plans[0])
        pages.gather()
        backend.begin_section()
        seconds.append(_forward_all(backend, plans))
        # What prepares the next kind of pass belongs to neither.
        backend.begin_section()
    found = backend.operator_times()
    if len(found) < 3:
        raise ConfigError("the runtime told nothing of its operators", "Profile another backend")
    prefill, _, decode = found[:3]
    looked_up = backend.looked_up_bytes()
    return (
        OperatorProfile(len(first), seconds[0], prefill, looked_up),
        OperatorProfile(len(single), seconds[1], decode, looked_up),
    )


def _forward_all(backend: Backend, plans: list[StepPlan]) -> float:
    """Run them; seconds that takes."""
    begun = time.perf_counter()
    for plan in plans:
        backend.forward(plan)
    return time.perf_counter() - begun
