"""A cache of which each block's content is known, and a tier that copies contents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nanoaccel.runtime.kv import BlockId, EvictionPolicy, PagedCache

Contents = dict[int, bytes]


class MemoryTier:
    """Contents by key.

    Args:
        contents: What the blocks hold.
    """

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.saved: dict[bytes, tuple[bytes, bytes]] = {}
        self.saves: list[bytes] = []
        self.refuses = False
        self.damaged = False

    def has(self, key: bytes) -> bool:
        return key in self.saved

    def load(self, key: bytes, tokens: bytes, block: BlockId) -> bool:
        self.contents[block] = b"whatever was there"
        if self.damaged or key not in self.saved or self.saved[key][0] != tokens:
            return False
        self.contents[block] = self.saved[key][1]
        return True

    def save(self, key: bytes, tokens: bytes, block: BlockId) -> bool:
        if self.refuses:
            return False
        self.saved[key] = (tokens, self.contents[block])
        self.saves.append(key)
        return True

    def drain(self) -> None:
        pass


@dataclass
class Known:
    """What a sequence should hold.

    Args:
        tokens: All known ones.
        computed: How many of them are computed.
        held: The content of each of its blocks.
        dropped: Blocks that it has dropped.
        key: What the keys of its blocks begin with.
    """

    tokens: np.ndarray
    computed: int
    held: list[bytes] = field(default_factory=list)
    dropped: int = 0
    key: bytes = b""


class CheckedCache:
    """Writes the whole prefix into a block when it is computed, and sees that it stays there.

    Args:
        num_blocks: Blocks of the cache.
        block_size: Tokens of a block.
        policy: Eviction policy; least recently used by default.
        tiered: Whether cold blocks go to a ``MemoryTier``.
        sharing: Whether sequences that begin the same share blocks.
        copies: Whether a sequence may begin its first own block with a copy.
    """

    def __init__(
        self,
        num_blocks: int,
        block_size: int = 2,
        *,
        policy: EvictionPolicy | None = None,
        tiered: bool = False,
        sharing: bool = True,
        copies: bool = False,
    ) -> None:
        self.contents: Contents = {}
        self.tier = MemoryTier(self.contents)
        self.cache = PagedCache(
            num_blocks,
            block_size,
            policy=policy,
            tier=self.tier if tiered else None,
            sharing=sharing,
            copy=self._copy if copies else None,
        )
        self.known: dict[int, Known] = {}
        self.occupied: dict[int, int] = {}

    def blocks(self, sequence: int) -> list[int]:
        """The block table of a sequence."""
        out = np.full(self.cache.num_blocks, -1, np.int32)
        length = len(self.known[sequence].held) * self.cache.block_size
        return [int(block) for block in out[: self.cache.block_ids(sequence, length, out)]]

    def begin(
        self,
        sequence: int,
        tokens: Sequence[int],
        reserve: int = 0,
        need: int | None = None,
        key: bytes = b"",
    ) -> int | None:
        """Admit a sequence; what it is given must hold its own prefix.

        Args:
            sequence: Its number.
            tokens: Its known tokens.
            reserve: Blocks that must stay free for others.
            need: Blocks that it will ever hold at once; None is what all its tokens take.
            key: What the keys of its blocks begin with.

        Returns:
            Tokens that were found in the cache; None when there is no room.
        """
        array = np.array(tokens, np.int64)
        hits = self.cache.admit(sequence, array, reserve, need=need, key=key)
        if hits is not None:
            size = self.cache.block_size
            held = [key + array[:end].tobytes() for end in range(size, hits + 1, size)]
            self.known[sequence] = known = Known(array, hits, held, key=key)
            if hits % size > 0:
                held.append(b"")
                copied = self.contents[self.blocks(sequence)[-1]]
                assert copied.startswith(key + array[:hits].tobytes()), "a copy of another block"
                known.held[-1] = copied
        self.check()
        return hits

    def _copy(self, source: int, target: int) -> None:
        self.contents[target] = self.contents[source]

    def compute(self, sequence: int, count: int | None = None) -> bool:
        """Compute the next tokens, all by default; False when there is no room."""
        known = self.known[sequence]
        size = self.cache.block_size
        end = len(known.tokens) if count is None else known.computed + count
        if not self.cache.allocate(sequence, end - known.dropped * size):
            return False
        for number in range(known.computed // size, self.cache.blocks_for(end)):
            content = known.key + known.tokens[: min((number + 1) * size, end)].tobytes()
            if known.dropped:
                content += f" without some of {sequence}".encode()
            known.held[number - known.dropped :] = [content]
            block = self.blocks(sequence)[-1]
            holders = [other for other in self.known if block in self.blocks(other)]
            assert holders == [sequence], "a shared block was written to"
            self.contents[block] = content
        known.computed = end
        self.cache.commit(sequence, known.tokens[:end])
        self.check()
        return True

    def occupy(self, sequence: int, blocks: int) -> bool:
        """Take blocks for a sequence of which nothing is known."""
        taken = self.cache.allocate(sequence, blocks * self.cache.block_size)
        if taken:
            self.occupied[sequence] = blocks
        self.check()
        return taken

    def run(self, sequence: int, tokens: Sequence[int], key: bytes = b"") -> int | None:
        """Admit a sequence, compute it and end it."""
        hits = self.begin(sequence, tokens, key=key)
        if hits is not None:
            assert self.compute(sequence)
            self.end(sequence)
        return hits

    def extend(self, sequence: int, tokens: Sequence[int]) -> None:
        """Make more tokens known."""
        known = self.known[sequence]
        known.tokens = np.concatenate([known.tokens, np.array(tokens, np.int64)])

    def drop(self, sequence: int, places: Sequence[int]) -> None:
        """Drop full blocks of a sequence."""
        known = self.known[sequence]
        self.cache.drop(sequence, places)
        known.held = [c for place, c in enumerate(known.held) if place not in places]
        known.dropped += len(places)
        self.check()

    def end(self, sequence: int) -> None:
        """Free a sequence."""
        self.known.pop(sequence, None)
        self.occupied.pop(sequence, None)
        self.cache.free(sequence)
        self.check()

    def check(self) -> None:
        """Assert that all sequences hold what they should, and that the numbers are right."""
        self.cache.check_integrity()
        owned = set()
        for sequence, known in self.known.items():
            blocks = self.blocks(sequence)
            assert [self.contents[block] for block in blocks] == known.held
            owned.update(blocks)
        taken = len(owned) + sum(self.occupied.values())
        assert self.cache.num_free == self.cache.num_blocks - taken
        assert self.cache.num_cached <= self.cache.num_free
