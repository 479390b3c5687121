"""Which engine a request goes to: pure policy, told what happens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from nanoaccel.runtime.kv.prefix_cache import block_key

# Tokens ahead that count: what a request may still write is known only as a limit.
HORIZON = 128
_TOKEN_BYTES = 4


def prefix_chain(prompt: bytes, block_size: int, key: bytes = b"") -> tuple[bytes, ...]:
    """Keys of the full blocks of a prompt, each a hash of all up to its end.

    Args:
        prompt: Tokens, i32.
        block_size: Tokens of a block.
        key: Seed of the chain; the request's.
    """
    step = block_size * _TOKEN_BYTES
    chain: list[bytes] = []
    for end in range(step, len(prompt) + 1, step):
        chain.append(block_key(chain[-1] if chain else key, prompt[end - step : end]))
    return tuple(chain)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What an engine can do.

    Args:
        speed: In any unit that all share; its threads.
        cache_tokens: Tokens that its cache holds.
    """

    speed: float
    cache_tokens: int


@dataclass(slots=True)
class _Load:
    """What a request that has not ended is to its engine, in tokens."""

    index: int
    pending: int
    left: int
    held: int

    @property
    def work(self) -> int:
        return self.pending + min(self.left, HORIZON)


@dataclass(slots=True)
class _Engine:
    """An engine, as far as it is known here; ``prefixes`` begin with the least recent."""

    capacity: Capacity
    alive: bool = True
    requests: int = 0
    ever: int = 0
    work: int = 0
    held: int = 0
    prefixes: OrderedDict[bytes, None] = field(default_factory=OrderedDict)


class Router:
    """Chooses the engine where a prompt is computed soonest.

    That is the least of

        (work ahead + tokens of the prompt not cached there + tokens beyond its cache) / speed

    Work ahead is, for every request there that has not ended, the tokens of its prompt that were
    not cached, until its first token is there, and those that it may still write, of which at most
    ``HORIZON`` count. What is beyond the cache waits for others to end. So a request follows its
    prefix as long as waiting behind what runs there is shorter than computing the prefix again.
    Among equals the one with fewer requests is taken, then the one that had fewer so far.

    An engine is taken to have cached the prompts that were sent to it, as many of the latest
    blocks as its cache holds.

    Args:
        capacities: What the engines can do, by index.
        block_size: Tokens of a cache block; 0 where prompts are not cached.

    Attributes:
        max_blocks: Blocks that are remembered of an engine at most.
    """

    def __init__(self, capacities: Sequence[Capacity], block_size: int) -> None:
        self._engines = [_Engine(capacity) for capacity in capacities]
        self._block_size = block_size
        self.max_blocks = 1 << 16
        self._loads: dict[int, _Load] = {}

    def chain(self, prompt: bytes, key: bytes = b"") -> tuple[bytes, ...]:
        """Keys of the blocks of a prompt; none where prompts are not cached."""
        return prefix_chain(prompt, self._block_size, key) if self._block_size else ()

    def choose(self, tokens: int, chain: Sequence[bytes]) -> int | None:
        """The index of the engine for a prompt; None when none is alive.

        Args:
            tokens: Tokens of the prompt.
            chain: Its ``chain``.
        """
        return next(iter(self.ranked(tokens, chain)), None)

    def ranked(self, tokens: int, chain: Sequence[bytes]) -> list[int]:
        """Indices of the engines that are alive, the one for a prompt first; as ``choose``."""
        indices = [index for index, engine in enumerate(self._engines) if engine.alive]
        return sorted(indices, key=lambda index: self._rank(index, tokens, chain))

    def add(self, capacity: Capacity) -> int:
        """Note that there is another engine; gives its index."""
        self._engines.append(_Engine(capacity))
        return len(self._engines) - 1

    def begin(
        self, number: int, index: int, *, tokens: int, chain: Sequence[bytes], limit: int
    ) -> None:
        """Note that a request was sent to an engine.

        Args:
            number: Number of the request.
            index: Index of the engine.
            tokens: Tokens of the prompt.
            chain: Its ``chain``.
            limit: Tokens that it may write.
        """
        assert number not in self._loads
        engine = self._engines[index]
        missing = self._missing(engine, tokens, chain)
        self._loads[number] = load = _Load(index, missing, limit, missing)
        engine.requests += 1
        engine.ever += 1
        engine.work += load.work
        engine.held += load.held
        self._remember(engine, chain)

    def wrote(self, number: int, tokens: int) -> None:
        """Note that a request has new tokens, and so has computed its prompt."""
        load = self._loads[number]
        engine, before = self._engines[load.index], load.work
        load.pending = 0
        load.left = max(0, load.left - tokens)
        load.held += tokens
        engine.work += load.work - before
        engine.held += tokens

    def end(self, number: int) -> None:
        """Note that a request has ended, or has left its engine."""
        load = self._loads.pop(number)
        engine = self._engines[load.index]
        engine.requests -= 1
        engine.work -= load.work
        engine.held -= load.held

    def lose(self, index: int) -> None:
        """Note that an engine has ended, with all that it had cached."""
        engine = self._engines[index]
        engine.alive = False
        engine.prefixes.clear()

    def restore(self, index: int, capacity: Capacity) -> None:
        """Note that an engine is there again."""
        engine = self._engines[index]
        engine.alive, engine.capacity = True, capacity

    def check_integrity(self) -> None:
        """Assert that sums agree with their parts, and that memory is bounded."""
        for index, engine in enumerate(self._engines):
            loads = [load for load in self._loads.values() if load.index == index]
            assert engine.requests == len(loads)
            assert engine.work == sum(load.work for load in loads)
            assert engine.held == sum(load.held for load in loads)
            assert len(engine.prefixes) <= self._most_blocks(engine)

    def _rank(self, index: int, tokens: int, chain: Sequence[bytes]) -> tuple[float, int, int]:
        engine = self._engines[index]
        missing = self._missing(engine, tokens, chain)
        beyond = max(0, engine.held + missing - engine.capacity.cache_tokens)
        cost = (engine.work + missing + beyond) / engine.capacity.speed
        return cost, engine.requests, engine.ever

    def _missing(self, engine: _Engine, tokens: int, chain: Sequence[bytes]) -> int:
        """Tokens of a prompt that an engine has to compute; the last one always."""
        known = 0
        for key in chain:
            if key not in engine.prefixes:
                break
            known += self._block_size
        return max(1, tokens - known)

    def _remember(self, engine: _Engine, chain: Sequence[bytes]) -> None:
        """Blocks are useless without those before them: the last ones are dropped first."""
        for key in reversed(chain):
            engine.prefixes[key] = None
            engine.prefixes.move_to_end(key)
        while len(engine.prefixes) > self._most_blocks(engine):
            engine.prefixes.popitem(last=False)

    def _most_blocks(self, engine: _Engine) -> int:
        return min(self.max_blocks, engine.capacity.cache_tokens // max(1, self._block_size))
