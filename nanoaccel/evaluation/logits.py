"""The logits of a bundle over given tokens, from the backend that also generates with it.

It is given what the engine would give it: steps of the engine's size over its cache, in which long
passages are chunks and several passages stand beside each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nanoaccel.bundle import Bundle
from nanoaccel.bundle.long_factors import position_shift
from nanoaccel.errors import ConfigError
from nanoaccel.runtime.adapters.choice import AdapterChoice
from nanoaccel.runtime.adapters.registry import AdapterRegistry
from nanoaccel.runtime.backends import AdapterHolder, Precision
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.configure import configure
from nanoaccel.runtime.execution.loader import CacheSize, load, preferred
from nanoaccel.runtime.execution.target import adaptable_by
from nanoaccel.runtime.kv import KVCache
from nanoaccel.runtime.types import defaults
from nanoaccel.runtime.types.packing import SequenceTokens, StepPacker
from nanoaccel.runtime.types.plan import Float32Array, Int64Array

# What the engine reads in a step; passages together are chunks beside each other there.
_STEP_TOKENS = defaults.STEP_TOKENS
_SEQUENCES = 8


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens to read, and those behind which logits are wanted.

    Args:
        token_ids: i64[T], 1 or more.
        first: Place of the first token whose logits are wanted, 0 to T-1.
    """

    token_ids: Int64Array
    first: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """Logits behind some tokens of a passage.

    Args:
        passage: Its number.
        begin: Place of the first token.
        logits: f32[R, V]. Valid until the next rows are asked for.
    """

    passage: int
    begin: int
    logits: Float32Array


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Tokens ``begin`` to ``end`` of a passage, in one pass."""

    passage: int
    begin: int
    end: int


class BundleLogits:
    """An opened bundle that reads passages, each for itself.

    Args:
        bundle: What is opened.
        length: Tokens of the longest passage.
        backend: Name of a backend, or "auto" for the best that is installed; None is what the
            environment or nanoaccel.toml says, as for ``LLM``, else "auto".
        precision: "f32" shows what compression costs alone, "auto" all that happens when the
            bundle runs on this CPU; None as for ``backend``.
        threads: Threads for it; None as for ``backend``, else the runtime chooses.
        adapter: What all passages are read with, as ``AdapterChoice`` takes it; None is the bundle
            alone.

    Raises:
        ConfigError: The length is beyond the context, or an option is wrong.
        BundleError: The graph cannot be run.
        MissingExtraError: The backend is not installed.
        AdapterError: The adapter cannot be read, or does not fit.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        length: int,
        backend: str | None = None,
        precision: Precision | None = "f32",
        threads: int | None = None,
        adapter: str | None = None,
    ) -> None:
        if length > bundle.context_length:
            raise ConfigError(
                f"length={length} is longer than the context of {bundle.folder}, "
                f"{bundle.context_length}",
                f"Choose at most {bundle.context_length}",
            )
        given = {"backend": backend, "precision": precision, "threads": threads}
        configured = configure(given)
        precision, threads = configured.engine.precision, configured.engine.threads
        config = EngineConfig(precision=precision, threads=threads, speculation="off")
        longest = max(length, _STEP_TOKENS)
        size = CacheSize(lambda info: 2 * -(-longest // info.block_size), longest)
        backend = configured.backend
        name = preferred(bundle.runtimes) if backend == "auto" else backend
        model = load(bundle, name, config, size, adapters=adapter is not None)
        self._backend, self._shape = model.backend, model.shape
        self._slot = -1
        if adapter is not None:
            self._load_adapter(bundle, name, AdapterChoice.parse(adapter))
        # A sequence reads a recurrent state, and writes another.
        states = self._shape.num_states
        self._most = min(_SEQUENCES, states // 2) if states > 0 else _SEQUENCES
        self._packer = StepPacker()
        self._factors = self._backend.info.long_factors
        self.vocab_size = self._backend.info.vocab_size

    def _load_adapter(self, bundle: Bundle, backend: str, choice: AdapterChoice) -> None:
        try:
            registry = AdapterRegistry(bundle, adaptable_by(self._backend), backend)
            registry.add_all(choice.folders)
            updates = registry.load(registry.find(choice.name))
            assert isinstance(self._backend, AdapterHolder)
            self._slot = 0
            self._backend.load_adapter(self._slot, updates)
        except BaseException:
            self.close()
            raise

    def __call__(self, token_ids: Int64Array) -> Float32Array:
        """Logits f32[T, V] of tokens i64[T]; row t predicts token t+1."""
        logits = np.empty((len(token_ids), self.vocab_size), np.float32)
        for rows in self.read([Passage(token_ids)]):
            logits[rows.begin : rows.begin + len(rows.logits)] = rows.logits
        return logits

    def read(self, passages: Sequence[Passage]) -> Iterator[Rows]:
        """Read passages, as many at once as make a step; rows come in order of passages."""
        cache = self._shape.new_cache(sharing=False)
        for chunks in self._passes([len(passage.token_ids) for passage in passages], cache):
            yield from self._run(chunks, passages, cache)

    def _passes(self, lengths: Sequence[int], cache: KVCache) -> Iterator[list[_Chunk]]:
        """Steps that are full as the engine's are: a passage is cut, and the next one follows."""
        chunks: list[_Chunk] = []
        held, room = 0, _STEP_TOKENS
        for passage, length in enumerate(lengths):
            blocks, begin = cache.blocks_for(length), 0
            if chunks and (len(chunks) == self._most or held + blocks > cache.num_blocks):
                yield chunks
                chunks, held, room = [], 0, _STEP_TOKENS
            held += blocks
            while begin < length:
                end = min(length, begin + room)
                chunks.append(_Chunk(passage, begin, end))
                room -= end - begin
                begin = end
                if room == 0:
                    yield chunks
                    chunks, room = [], _STEP_TOKENS
                    held = blocks if begin < length else 0
        if chunks:
            yield chunks

    def _run(
        self, chunks: Sequence[_Chunk], passages: Sequence[Passage], cache: KVCache
    ) -> Iterator[Rows]:
        # A row for each token from the first that is wanted on; chunks before it have none.
        firsts = [
            min(max(passages[chunk.passage].first, chunk.begin), chunk.end) for chunk in chunks
        ]
        sequences = []
        for chunk, first in zip(chunks, firsts, strict=True):
            fits = cache.allocate(chunk.passage, chunk.end)
            assert fits, "a pass fits the cache"
            passage = passages[chunk.passage].token_ids
            shift = position_shift(self._factors, len(passage))
            tokens = passage[chunk.begin : chunk.end]
            sequences.append(
                SequenceTokens(
                    chunk.passage,
                    tokens,
                    chunk.begin + shift,
                    chunk.begin,
                    num_rows=chunk.end - first,
                    first_row=first - chunk.begin,
                    adapter=self._slot,
                )
            )
        result = self._backend.forward(self._packer.pack(sequences, cache))
        row = 0
        for chunk, first in zip(chunks, firsts, strict=True):
            count = chunk.end - first
            if count > 0:
                yield Rows(chunk.passage, first, result.logits[row : row + count])
            row += count
        for chunk in chunks:
            cache.commit(chunk.passage, passages[chunk.passage].token_ids[: chunk.end])
            if chunk.end == len(passages[chunk.passage].token_ids):
                cache.free(chunk.passage)

    def close(self) -> None:
        """Free the graph. Calling it twice is fine."""
        self._backend.close()

    def __enter__(self) -> BundleLogits:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
