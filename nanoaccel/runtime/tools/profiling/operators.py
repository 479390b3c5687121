"""Runs passes of several kinds on a backend that notes what its operators take."""

from __future__ import annotations

import time

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends import Backend, OperatorTimer
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.tools.profiling.facts import OperatorProfile, PassShape
from nanoaccel.runtime.types.packing import even_plan
from nanoaccel.runtime.types.plan import StepPlan

_WARM_UP = 2
_MOST_PASSES = 32  # the noted means are steady then, and ONNX Runtime's file stays small
_LEAST_PASSES = 3
_WIDE = 8  # tokens, or sequences
_WIDE_PAST = 256  # of several sequences, so that their cache stays small


def measure_operators(
    backend: Backend, *, prompt: int, tokens: int, chunk: int, pages: HugePages
) -> list[OperatorProfile]:
    """Operators of a prompt's passes, and of short ones behind it.

    Args:
        backend: Loaded with ``profile``; its cache is not allocated yet.
        prompt: Tokens of the prompt.
        tokens: Passes of each short kind.
        chunk: Tokens of a prompt's pass at most.
        pages: What was loaded since is gathered, as it is for an engine.

    Returns:
        For the prompt, for single tokens, for eight tokens, and for a token of each of eight
        sequences. Empty if the backend cannot tell.

    Raises:
        ConfigError: The cache does not fit in memory.
    """
    if not isinstance(backend, OperatorTimer):
        return []
    size = min(prompt, chunk)
    many = max(_LEAST_PASSES, min(tokens, _MOST_PASSES))
    past = max(size, prompt)
    length = past + many + _WARM_UP + _WIDE
    tables = _allocate(backend, length)
    one, shorter = tables[:1], min(past, _WIDE_PAST)
    # Each pass of a kind has the same size, and but for single tokens they begin anew.
    kinds = [
        (f"a prompt of {size}", [even_plan(one, 0, size)] * _LEAST_PASSES),
        ("1 token", [even_plan(one, past + place, 1) for place in range(many)]),
        (f"{_WIDE} tokens", [even_plan(one, past, _WIDE, all_rows=True)] * many),
        (f"{_WIDE} sequences", [even_plan(tables, shorter, 1)] * many),
    ]
    seconds = []
    for _, plans in kinds:
        for _ in range(_WARM_UP):
            backend.forward(plans[0])
        pages.gather()
        backend.begin_section()
        seconds.append(_forward_all(backend, plans))
        # What prepares the next kind of pass belongs to neither.
        backend.begin_section()
    found = backend.operator_times()[::2]
    if len(found) < len(kinds):
        raise ConfigError("the runtime told nothing of its operators", "Profile another backend")
    looked_up = backend.looked_up_bytes()
    return [
        OperatorProfile(len(plans), spent, operators, looked_up, _shape(name, plans[0], backend))
        for (name, plans), spent, operators in zip(kinds, seconds, found, strict=False)
    ]


def _allocate(backend: Backend, length: int) -> list[list[int]]:
    """The blocks of several sequences, of which the first is the longest."""
    size = backend.info.block_size
    longest, short = -(-length // size), -(-min(length, _WIDE_PAST + 1) // size)
    backend.allocate_cache(longest + (_WIDE - 1) * short)
    others = [list(range(longest + s * short, longest + (s + 1) * short)) for s in range(_WIDE - 1)]
    return [list(range(longest)), *others]


def _shape(name: str, plan: StepPlan, backend: Backend) -> PassShape:
    token = backend.info.bytes_per_block / backend.info.block_size
    return PassShape(
        name=name,
        tokens=len(plan.token_ids),
        logits=len(plan.logits_rows),
        past=int(plan.past_lens[0]),
        cache_bytes=int(token * int(plan.past_lens.sum())),
    )


def _forward_all(backend: Backend, plans: list[StepPlan]) -> float:
    """Run them; seconds that takes."""
    begun = time.perf_counter()
    for plan in plans:
        backend.forward(plan)
    return time.perf_counter() - begun
