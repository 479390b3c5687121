"""The paged cache: which blocks each sequence holds, and which of them it shares."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.kv.base import TOKEN_BYTES, CacheStats, admission, as_bytes
from nanoaccel.runtime.kv.block_pool import BlockId, BlockPool
from nanoaccel.runtime.kv.block_table import BlockTable
from nanoaccel.runtime.kv.eviction import EvictionPolicy, LeastRecentlyUsed
from nanoaccel.runtime.kv.prefix_cache import PrefixCache, PrefixNode, block_key
from nanoaccel.runtime.kv.recurrent import RecurrentStates
from nanoaccel.runtime.kv.tier import BlockTier
from nanoaccel.runtime.types.packing import StateSteps
from nanoaccel.runtime.types.plan import Int32Array, Int64Array


class PagedCache:
    """Block tables of all sequences (Kwon et al. 2023, PagedAttention), with shared prefixes.

    It keeps numbers only; the memory behind the blocks belongs to the backend. A block is free,
    or owned by one or more sequences, or cached: nobody owns it, but its content can be found by
    the next sequence that begins the same, until the block is needed for something else.

    Only full blocks whose tokens are computed and verified are shared, and none of them is
    written to again.

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
    ) -> None:
        self.num_blocks = num_blocks
        self.num_states = num_states
        self.block_size = block_size
        self.stats = CacheStats()
        self._width = block_size * TOKEN_BYTES
        self._pool = BlockPool(num_blocks)
        self._prefixes = PrefixCache(LeastRecentlyUsed() if policy is None else policy)
        self._tier = tier
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

    @property
    def capacity(self) -> int:
        """Tokens that fit in all."""
        return self.num_blocks * self.block_size

    @property
    def num_free(self) -> int:
        return self._pool.num_free + self._prefixes.num_unowned

    @property
    def num_cached(self) -> int:
        return self._prefixes.num_unowned

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
        key: bytes = b"",
    ) -> int | None:
        assert sequence not in self._tables, "a sequence was admitted twice"
        wanted, most = admission(len(tokens), self.block_size, need)
        known = as_bytes(tokens[: most * self.block_size]) if self._sharing else b""
        table = BlockTable(self._prefixes.root(key))
        chain = self._prefixes.find(table.root, known, self._width)
        if self._states is not None:
            if not self._states.has_room():
                return None
            reusable = self._blocks_to_state(table.root, chain, known)
            chain, known = chain[:reusable], known[: reusable * self._width]
        missing = wanted - len(chain)
        idle = sum(node.owners == 0 for node in chain)
        if missing + reserve > self.num_free - idle:
            return None
        for node in chain:
            self._prefixes.acquire(node)
        hits = len(chain) * self.block_size
        table.nodes = chain
        self._restore(table, known)
        if self._states is not None:
            self._resume(self._states, table, sequence, len(tokens))
            hits = min(hits, len(table.nodes) * self.block_size)
        table.append([node.block for node in table.nodes])
        self._tables[sequence] = table
        self.stats.queried_tokens += len(tokens)
        self.stats.hit_tokens += hits
        self.stats.restored_tokens += table.count * self.block_size - hits
        return table.count * self.block_size

    def allocate(self, sequence: int, length: int, drafts: int = 0) -> bool:
        table = self._tables.get(sequence)
        missing = self.blocks_for(length) - (0 if table is None else table.count)
        if missing > self.num_free:
            return False
        if self._states is not None and not self._states.reserve(sequence, length, drafts):
            return False
        if table is None:
            table = self._tables[sequence] = BlockTable(self._prefixes.root(b""))
        if missing > 0:
            table.append(self._take(missing))
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
            self._share(table, known[start : start + self._width])

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
        self._pool.give_back(table.cut(self.blocks_for(length)))

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
        self._pool.give_back(private)
        self._release(shared)
        if self._states is not None:
            self._states.shift(sequence, len(order) * self.block_size)

    def free(self, sequence: int) -> None:
        table = self._tables.pop(sequence, None)
        if self._states is not None:
            self._states.free(sequence)
        if table is not None:
            self._pool.give_back(table.private())
            self._release(table.nodes)

    def save_all(self) -> None:
        if self._tier is not None:
            for node in self._prefixes.nodes():
                if node.owners == 0 and not self._save(node):
                    self._drain(self._tier)
                    self._save(node)
            self._drain(self._tier)

    def _drain(self, tier: BlockTier) -> None:
        tier.drain()
        if self._states is not None:
            self._states.drain()

    def clear(self) -> None:
        gone = self._prefixes.clear()
        self._forget_states(gone)
        self._pool.give_back([node.block for node in gone])

    def check_integrity(self) -> None:
        self._prefixes.check_integrity()
        owners = dict.fromkeys(self._prefixes.nodes(), 0)
        private = []
        for table in self._tables.values():
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

    def _restore(self, table: BlockTable, known: bytes) -> None:
        """Continue the chain of a table, whose blocks are owned, with what the tier holds of it."""
        if self._tier is None:
            return
        for start in range(len(table.nodes) * self._width, len(known), self._width):
            tokens = known[start : start + self._width]
            key = block_key(table.last.key, tokens)
            if not self._tier.has(key):
                return
            block = self._take(1)[0]
            if not self._tier.load(key, tokens, block):
                self._pool.give_back([block])
                return
            table.nodes.append(self._prefixes.insert(table.last, tokens, block))

    def _share(self, table: BlockTable, tokens: bytes) -> None:
        """Put the next own block of a table into the prefix cache, or take the one there."""
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

    def _release(self, chain: list[PrefixNode]) -> None:
        """Take an owner from each; a parent is saved before what is of no use without it."""
        idle = []
        for node in reversed(chain):
            if self._prefixes.release(node):
                idle.append(node)
            elif node.owners == 0:
                self._forget_states([node])
                self._pool.give_back([node.block])
        for node in reversed(idle):
            self._save(node)
        for node in reversed(chain):
            if self._tier is not None:  # used last is kept longest: the start of the chain
                self._tier.has(node.key)

    def _blocks_to_state(self, root: PrefixNode, chain: list[PrefixNode], known: bytes) -> int:
        """How many blocks of a prefix are there, in memory (``chain``) or the tier, up to the last
        behind which its state is known.
        """
        assert self._states is not None
        key, last = root.key, 0
        for index, start in enumerate(range(0, len(known), self._width)):
            node = chain[index] if index < len(chain) else None
            key = block_key(key, known[start : start + self._width])
            if node is None and (self._tier is None or not self._tier.has(key)):
                break
            if self._states.knows(key, node):
                last = index + 1
        return last

    def _resume(
        self, states: RecurrentStates, table: BlockTable, sequence: int, known: int
    ) -> None:
        """Begin behind the last block of a table whose state is there, or can be loaded."""
        beyond = []
        while table.nodes and not states.load(table.last):
            beyond.append(table.nodes.pop())
        self._release(beyond[::-1])
        node = table.nodes[-1] if table.nodes else None
        states.begin(sequence, known, len(table.nodes) * self.block_size, node)

    def _forget_states(self, nodes: Sequence[PrefixNode]) -> None:
        if self._states is not None:
            for node in nodes:
                self._states.forget(node)

    def _save(self, node: PrefixNode) -> bool:
        """Whether the tiers have a block, and the state behind it, now."""
        tier = self._tier
        complete = self._states is None or self._states.save(node)
        if tier is None or tier.has(node.key):
            return complete
        taken = tier.save(node.key, node.tokens, node.block)
        self.stats.saved_blocks += taken
        return taken and complete

    def _take(self, count: int) -> list[BlockId]:
        """Blocks of nobody; cached ones are evicted when the free ones do not do."""
        while self._pool.num_free < count:
            for node in self._prefixes.evict():
                self._save(node)
                self._forget_states([node])
                self.stats.evictions += 1
                self._pool.give_back([node.block])
        blocks = self._pool.take(count)
        assert blocks is not None
        return blocks
