"""The blocks themselves: free, of one sequence, shared by several, or cached, and their tier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nanoaccel.runtime.kv.base import TOKEN_BYTES, CacheStats
from nanoaccel.runtime.kv.block_pool import BlockId, BlockPool
from nanoaccel.runtime.kv.block_table import BlockTable
from nanoaccel.runtime.kv.eviction import EvictionPolicy
from nanoaccel.runtime.kv.prefix_cache import PrefixCache, PrefixNode, block_key
from nanoaccel.runtime.kv.recurrent import RecurrentStates
from nanoaccel.runtime.kv.tier import BlockTier


class SharedBlocks:
    """Free blocks, and the tree of those that can be found, with the tier behind them.

    Args:
        num_blocks: Blocks in all.
        block_size: Tokens in a block.
        policy: Chooses the cached block that goes first.
        tier: Where blocks go that nobody owns, and come back from.
        states: States behind blocks, which go with them.
        copy: Copies the content of a block, the first argument, into another.
        stats: Counts what it does.
    """

    def __init__(
        self,
        num_blocks: int,
        block_size: int,
        *,
        policy: EvictionPolicy,
        tier: BlockTier | None,
        states: RecurrentStates | None,
        copy: Callable[[BlockId, BlockId], None] | None,
        stats: CacheStats,
    ) -> None:
        self._width = block_size * TOKEN_BYTES
        self._pool = BlockPool(num_blocks)
        self._prefixes = PrefixCache(policy)
        self._tier = tier
        self._states = states
        self._copy = copy
        self._stats = stats

    @property
    def num_free(self) -> int:
        """Blocks that can be had now."""
        return self._pool.num_free + self._prefixes.num_unowned

    @property
    def num_cached(self) -> int:
        """Blocks that nobody owns and that can be found."""
        return self._prefixes.num_unowned

    def root(self, key: bytes) -> PrefixNode:
        """What the first blocks of sequences with this key continue."""
        return self._prefixes.root(key)

    def find(self, root: PrefixNode, known: bytes) -> list[PrefixNode]:
        """The longest chain of blocks in memory that holds a prefix of ``known``."""
        return self._prefixes.find(root, known, self._width)

    def in_tier(self, key: bytes) -> bool:
        """Whether the tier has a block."""
        return self._tier is not None and self._tier.has(key)

    def acquire(self, chain: Iterable[PrefixNode]) -> None:
        """Add an owner to each, the first block first."""
        for node in chain:
            self._prefixes.acquire(node)

    def release(self, chain: Sequence[PrefixNode]) -> None:
        """Take an owner from each; a parent is saved before what is of no use without it."""
        idle = []
        for node in reversed(chain):
            if self._prefixes.release(node):
                idle.append(node)
            elif node.owners == 0:
                self._give_up([node])
        for node in reversed(idle):
            self._save(node)
        for node in reversed(chain):
            self.in_tier(node.key)  # used last is kept longest: the start of the chain

    def take(self, count: int) -> list[BlockId]:
        """Blocks of nobody; cached ones are evicted when the free ones do not do."""
        while self._pool.num_free < count:
            for node in self._prefixes.evict():
                self._save(node)
                self._stats.evictions += 1
                self._give_up([node])
        blocks = self._pool.take(count)
        assert blocks is not None
        return blocks

    def give_back(self, blocks: list[BlockId]) -> None:
        """Free blocks that were taken, and never shared."""
        self._pool.give_back(blocks)

    def share(self, table: BlockTable, tokens: bytes) -> None:
        """Put the next own block of a table into the tree, or take the one there."""
        index = len(table.nodes)
        parent = table.last
        own = BlockId(int(table.ids[index]))
        node = parent.children.get(tokens)
        if node is None:
            node = self._prefixes.insert(parent, tokens, own)
        else:
            self._prefixes.acquire(node)
            self._pool.give_back([own])
            table.ids[index] = node.block
        table.nodes.append(node)

    def restore(self, table: BlockTable, known: bytes) -> None:
        """Continue the chain of a table, whose blocks are owned, with what the tier holds of it."""
        if self._tier is None:
            return
        for start in range(len(table.nodes) * self._width, len(known), self._width):
            tokens = known[start : start + self._width]
            key = block_key(table.last.key, tokens)
            if not self._tier.has(key):
                return
            block = self.take(1)[0]
            if not self._tier.load(key, tokens, block):
                self._pool.give_back([block])
                return
            table.nodes.append(self._prefixes.insert(table.last, tokens, block))

    def begun(self, parent: PrefixNode, tokens: bytes) -> tuple[PrefixNode | None, int]:
        """The block behind ``parent`` that begins with most of ``tokens``, and how many of them;
        none where blocks cannot be copied.
        """
        found = None if self._copy is None else self._prefixes.closest(parent, tokens)
        return (None, 0) if found is None else found

    def copy(self, node: PrefixNode) -> BlockId | None:
        """A block of one's own with the content of another; None when there is no room for it."""
        assert self._copy is not None
        if self.num_free - (node.owners == 0) < 1:
            return None
        self._prefixes.acquire(node)  # or it might be the one that makes room
        block = self.take(1)[0]
        self._copy(node.block, block)
        self.release([node])
        return block

    def save_all(self) -> None:
        """Hand all cached blocks to the tier that it has not, and wait until they are there."""
        if self._tier is not None:
            for node in self._prefixes.nodes():
                if node.owners == 0 and not self._save(node):
                    self._drain(self._tier)
                    self._save(node)
            self._drain(self._tier)

    def clear(self) -> None:
        """Forget all cached blocks."""
        self._give_up(self._prefixes.clear())

    def check_integrity(self, tables: Iterable[BlockTable]) -> None:
        """Assert that each block is free, or owned by who holds it, or found in the tree."""
        self._prefixes.check_integrity()
        owners = dict.fromkeys(self._prefixes.nodes(), 0)
        private = []
        for table in tables:
            assert table.ids[: len(table.nodes)].tolist() == [node.block for node in table.nodes]
            private += table.private()
            before = table.root
            for node in table.nodes:
                assert table.num_dropped > 0 or node.parent is before, "a chain has a gap"
                assert node in owners or node.parent is None, "a block left the tree halfway"
                owners[node] = owners.get(node, 0) + 1
                before = node
        for node, number in owners.items():
            assert node.owners == number, "an owner was miscounted"
        self._pool.check_integrity([*private, *(node.block for node in owners)])
        if self._states is not None:
            self._states.check_integrity(set(owners))

    def _give_up(self, nodes: Sequence[PrefixNode]) -> None:
        """Free blocks that nobody owns and nobody finds any more, and the states behind them."""
        if self._states is not None:
            for node in nodes:
                self._states.forget(node)
        self._pool.give_back([node.block for node in nodes])

    def _save(self, node: PrefixNode) -> bool:
        """Whether the tiers have a block, and the state behind it, now."""
        tier = self._tier
        complete = self._states is None or self._states.save(node)
        if tier is None or tier.has(node.key):
            return complete
        taken = tier.save(node.key, node.tokens, node.block)
        self._stats.saved_blocks += taken
        return taken and complete

    def _drain(self, tier: BlockTier) -> None:
        tier.drain()
        if self._states is not None:
            self._states.drain()
