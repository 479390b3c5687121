"""The paged cache: which blocks each sequence holds, and which of them it shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanoaccel.runtime.kv.base import TOKEN_BYTES, CacheStats, admission, as_bytes
from nanoaccel.runtime.kv.block_pool import BlockId
from nanoaccel.runtime.kv.block_table import BlockTable
from nanoaccel.runtime.kv.eviction import EvictionPolicy, LeastRecentlyUsed
from nanoaccel.runtime.kv.prefix_cache import PrefixNode, block_key
from nanoaccel.runtime.kv.recurrent import RecurrentStates
from nanoaccel.runtime.kv.shared_blocks import SharedBlocks
from nanoaccel.runtime.kv.tier import BlockTier
from nanoaccel.runtime.types.packing import StateSteps
from nanoaccel.runtime.types.plan import Int32Array, Int64Array


class PagedCache:
    """Block tables of all sequences (Kwon et al. 2023, PagedAttention), with shared prefixes.

    It keeps numbers only; the memory behind the blocks belongs to the backend. A block is free,
    or owned by one or more sequences, or cached: nobody owns it, but its content can be found by
    the next sequence that begins the same, until the block is needed for something else.

    Only full blocks whose tokens are computed and verified are shared, and none of them is
    written to again. A sequence that begins as one of them, and goes on otherwise, begins with a
    copy of it (where ``copy`` is given): its first tokens need not be computed again.

    A model with recurrent states goes on behind a prefix only where its state is known. So what is
    found of a prefix ends with the last of its blocks that has a snapshot (``RecurrentStates``).

    Args:
        num_blocks: Blocks that the backend has allocated.
        block_size: Tokens in a block.
        num_states: Recurrent states that it has allocated; 0 for a model without.
        state_interval: Tokens between two snapshots of a prompt, a multiple of the block size.
        every_state: Whether a state is kept behind each draft token.
        policy: Chooses the cached block that goes first; least recently used by default.
        tier: Where blocks go that nobody owns, and come back from.
        state_tier: The same for snapshots.
        sharing: Whether sequences share blocks; without it no block is ever cached.
        copy: Copies the content of a block, the first argument, into another; None where the
            first tokens of a block may mean something else without the others. Not used for a
            model with recurrent states.
    """

    def __init__(
        self,
        num_blocks: int,
        block_size: int,
        *,
        num_states: int = 0,
        state_interval: int = 0,
        every_state: bool = True,
        policy: EvictionPolicy | None = None,
        tier: BlockTier | None = None,
        state_tier: BlockTier | None = None,
        sharing: bool = True,
        copy: Callable[[BlockId, BlockId], None] | None = None,
    ) -> None:
        self.num_blocks = num_blocks
        self.num_states = num_states
        self.block_size = block_size
        self.stats = CacheStats()
        self._width = block_size * TOKEN_BYTES
        self._sharing = sharing
        self._tables: dict[int, BlockTable] = {}
        self._states: RecurrentStates | None = None
        if num_states > 0:
            self._states = RecurrentStates(
                num_states,
                block_size,
                state_interval,
                every=every_state,
                sharing=sharing,
                tier=state_tier,
            )
        copies = sharing and self._states is None
        self._blocks = SharedBlocks(
            num_blocks,
            block_size,
            policy=LeastRecentlyUsed() if policy is None else policy,
            tier=tier,
            states=self._states,
            copy=copy if copies else None,
            stats=self.stats,
        )
        self.granularity = block_size if copy is None or not copies else 1

    @property
    def capacity(self) -> int:
        """Tokens that fit in all."""
        return self.num_blocks * self.block_size

    @property
    def num_free(self) -> int:
        return self._blocks.num_free

    @property
    def num_cached(self) -> int:
        return self._blocks.num_cached

    @property
    def num_free_states(self) -> int:
        return 0 if self._states is None else self._states.num_free

    @property
    def num_cached_states(self) -> int:
        return 0 if self._states is None else self._states.num_snapshots

    def blocks_for(self, length: int) -> int:
        return -(-length // self.block_size)

    def admit(
        self,
        sequence: int,
        tokens: Int64Array,
        reserve: int,
        *,
        need: int | None = None,
        most: int | None = None,
        key: bytes = b"",
    ) -> int | None:
        assert sequence not in self._tables, "a sequence was admitted twice"
        if self._states is not None and not self._states.has_room():
            return None
        limit = len(tokens) - 1 if most is None else min(most, len(tokens) - 1)
        wanted, reusable = admission(len(tokens), self.block_size, need, limit)
        table = BlockTable(self._blocks.root(key))
        chain, known = self._find(table.root, tokens[: reusable * self.block_size])
        missing = wanted - len(chain)
        idle = sum(node.owners == 0 for node in chain)
        if missing + reserve > self.num_free - idle:
            return None
        self._blocks.acquire(chain)
        hits = len(chain) * self.block_size
        table.nodes = chain
        self._blocks.restore(table, known)
        if self._states is not None:
            self._resume(self._states, table, sequence, len(tokens))
            hits = min(hits, len(table.nodes) * self.block_size)
        table.append([node.block for node in table.nodes])
        found = len(table.nodes) * self.block_size
        begun = self._begin_block(table, tokens[found : min(limit, found + self.block_size - 1)])
        self._tables[sequence] = table
        self.stats.queried_tokens += len(tokens)
        self.stats.hit_tokens += hits + begun
        self.stats.restored_tokens += found - hits
        return found + begun

    def findable(self, tokens: Int64Array, key: bytes) -> int:
        root = self._blocks.root(key)
        chain, _ = self._find(root, tokens)
        found = len(chain) * self.block_size
        rest = as_bytes(tokens[found : found + self.block_size])
        return found + self._blocks.begun(chain[-1] if chain else root, rest)[1]

    def allocate(self, sequence: int, length: int, drafts: int = 0) -> bool:
        table = self._tables.get(sequence)
        missing = self.blocks_for(length) - (0 if table is None else table.count)
        if missing > self.num_free:
            return False
        if self._states is not None and not self._states.reserve(sequence, length, drafts):
            return False
        if table is None:
            table = self._tables[sequence] = BlockTable(self._blocks.root(b""))
        if missing > 0:
            table.append(self._blocks.take(missing))
        return True

    def commit(self, sequence: int, tokens: Int64Array) -> int:
        """As ``KVCache``.

        When another sequence has computed the same block meanwhile, this one takes the other's
        and gives its own back: ask for ``block_ids`` again.
        """
        table = self._tables[sequence]
        if self._states is None:
            self._share_full(table, tokens)
            return len(tokens)
        dropped = table.num_dropped
        length = dropped + self._states.kept_length(sequence, len(tokens) - dropped)
        self._share_full(table, tokens[:length])
        self._states.commit(sequence, length - dropped, table.nodes)
        return length

    def _share_full(self, table: BlockTable, tokens: Int64Array) -> None:
        if not self._sharing:
            return
        done = len(table.nodes) * self.block_size
        end = len(tokens) // self.block_size * self.block_size
        if end <= done or table.num_dropped > 0:
            return
        assert end <= table.count * self.block_size, "more tokens are computed than there is room"
        known = as_bytes(tokens[done:end])
        for start in range(0, len(known), self._width):
            self._blocks.share(table, known[start : start + self._width])

    def block_ids(self, sequence: int, length: int, out: Int32Array) -> int:
        count = self.blocks_for(length)
        table = self._tables[sequence]
        assert count <= table.count, "a sequence has no room for its tokens"
        out[:count] = table.ids[:count]
        return count

    def state_steps(self, sequence: int, length: int) -> StateSteps | None:
        return None if self._states is None else self._states.steps(sequence, length)

    def trim(self, sequence: int, length: int) -> None:
        table = self._tables[sequence]
        self._blocks.give_back(table.cut(self.blocks_for(length)))

    def drop(self, sequence: int, indices: Sequence[int]) -> None:
        if len(indices) == 0:
            return
        table = self._tables[sequence]
        order = sorted(set(indices))
        table.num_dropped += len(order) * self.block_size
        assert order[0] >= 0
        assert order[-1] < table.count
        shared = [table.nodes[index] for index in order if index < len(table.nodes)]
        private = [BlockId(int(table.ids[p])) for p in order if p >= len(table.nodes)]
        table.remove(order)
        self._blocks.give_back(private)
        self._blocks.release(shared)
        if self._states is not None:
            self._states.shift(sequence, len(order) * self.block_size)

    def free(self, sequence: int) -> None:
        table = self._tables.pop(sequence, None)
        if self._states is not None:
            self._states.free(sequence)
        if table is not None:
            self._blocks.give_back(table.private())
            self._blocks.release(table.nodes)

    def save_all(self) -> None:
        self._blocks.save_all()

    def clear(self) -> None:
        self._blocks.clear()

    def check_integrity(self) -> None:
        self._blocks.check_integrity(self._tables.values())

    def _find(self, root: PrefixNode, tokens: Int64Array) -> tuple[list[PrefixNode], bytes]:
        """The blocks in memory that hold a prefix of some tokens, and how many of these, as bytes,
        can be found in memory or the tier.
        """
        known = as_bytes(tokens) if self._sharing else b""
        chain = self._blocks.find(root, known)
        if self._states is None:
            return chain, known
        count = self._blocks_to_state(self._states, root, chain, known)
        return chain[:count], known[: count * self._width]

    def _blocks_to_state(
        self, states: RecurrentStates, root: PrefixNode, chain: list[PrefixNode], known: bytes
    ) -> int:
        """How many blocks of a prefix are there, in memory (``chain``) or the tier, up to the last
        behind which its state is known.
        """
        key, last = root.key, 0
        for index, start in enumerate(range(0, len(known), self._width)):
            node = chain[index] if index < len(chain) else None
            key = block_key(key, known[start : start + self._width])
            if node is None and not self._blocks.in_tier(key):
                break
            if states.knows(key, node):
                last = index + 1
        return last

    def _resume(
        self, states: RecurrentStates, table: BlockTable, sequence: int, known: int
    ) -> None:
        """Begin behind the last block of a table whose state is there, or can be loaded."""
        beyond = []
        while table.nodes and not states.load(table.last):
            beyond.append(table.nodes.pop())
        self._blocks.release(beyond[::-1])
        node = table.nodes[-1] if table.nodes else None
        states.begin(sequence, known, len(table.nodes) * self.block_size, node)

    def _begin_block(self, table: BlockTable, tokens: Int64Array) -> int:
        """Begin the next block of a table with a copy of the one that begins with most of some
        tokens; gives how many those are.
        """
        node, count = self._blocks.begun(table.last, as_bytes(tokens))
        block = None if node is None else self._blocks.copy(node)
        if block is None:
            return 0
        table.append([block])
        return count
