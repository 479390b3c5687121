"""What the passes of a graph take that tuning shall make faster."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.execution.pass_timing import PassBench
from nanoaccel.runtime.types.packing import even_plan

# The second also verifies draft tokens.
KINDS = ("1 token", "8 tokens", "prompts")
_ALONE, _TOGETHER, _PROMPT = KINDS
_SEQUENCES = 8
# Tokens of a piece of a prompt, and before each single token.
_CHUNK = 128
# A pass of another size than the one before may have to prepare itself, so each is run some times
# in a row: until the time is up, short ones most often.
_LEAST_RUNS = {_ALONE: 2, _TOGETHER: 2, _PROMPT: 1}
_MOST_RUNS = 10
_SECONDS = 0.06


class PassSeconds:
    """Times passes of one graph: of one sequence, of eight together, and over a prompt.

    Args:
        model: The graph; its cache has nothing in it.
        clock: Gives the time in seconds.
    """

    def __init__(self, model: LoadedModel, clock: Callable[[], float] = time.perf_counter) -> None:
        cache = model.shape.new_cache(sharing=False)
        chunk = min(_CHUNK, model.shape.first_tokens - 1)
        blocks: list[list[int]] = []
        for sequence in range(_SEQUENCES):
            if not cache.allocate(sequence, chunk + 1):
                break
            out = np.empty(cache.num_blocks, np.int32)
            blocks.append(out[: cache.block_ids(sequence, chunk + 1, out)].tolist())
        self._plans = {
            _ALONE: even_plan(blocks[:1], chunk, 1),
            _TOGETHER: even_plan(blocks, chunk, 1),
            _PROMPT: even_plan(blocks[:1], 0, chunk),
        }
        self._backend, self._clock = model.backend, clock
        self._sequences, self._chunk = len(blocks), chunk

    def run(self) -> None:
        """Run each pass once: the first ones pack the weights."""
        PassBench(self._backend, self._plans, self._clock).run(1)

    def measure(self) -> tuple[float, float, float]:
        """Seconds of each of ``KINDS`` now, of a prompt by the token."""
        bench = PassBench(self._backend, self._plans, self._clock)
        for kind in KINDS:
            end = self._clock() + _SECONDS
            for turn in range(_MOST_RUNS):
                if turn >= _LEAST_RUNS[kind] and self._clock() > end:
                    break
                bench.time(kind)
        # A cache without room for eight sequences needs several passes.
        together = bench.least[_TOGETHER] * (_SEQUENCES / self._sequences)
        return bench.least[_ALONE], together, bench.least[_PROMPT] / self._chunk
