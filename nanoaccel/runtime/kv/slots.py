"""The cache of a runtime without block tables: a sequence lies in one slot, from its start on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nanoaccel.runtime.kv.base import TOKEN_BYTES, CacheStats, admission, as_bytes
from nanoaccel.runtime.kv.block_pool import BlockId
from nanoaccel.runtime.kv.eviction import EvictionPolicy, LeastRecentlyUsed
from nanoaccel.runtime.kv.prefix_cache import block_key
from nanoaccel.runtime.kv.slot import Slot
from nanoaccel.runtime.kv.slot_tree import SlotNode, SlotTree
from nanoaccel.runtime.kv.tier import BlockTier, SlotMemory
from nanoaccel.runtime.types.plan import Int32Array, Int64Array


class SlotCache:
    """A slot for each sequence; what others have computed is copied into it.

    A slot has addresses for the longest sequence, and memory for what was written: the sum over
    all slots stays within ``num_blocks``. A slot that was left keeps its full blocks, to be found,
    until the slot or the memory is needed: the slot worth least gives up its last block first.

    Args:
        num_blocks: Blocks that may have memory behind them.
        block_size: Tokens in a block.
        num_slots: Sequences at once at most.
        slot_blocks: Blocks of a slot; block ``i`` of slot ``s`` is ``s * slot_blocks + i``.
        memory: Copies blocks.
        policy: Chooses the slot that goes first, of those that were left; least recently used by
            default.
        tier: Where blocks go that no sequence holds, and come back from.
        sharing: Whether contents are found by others; without it none is kept.
    """

    def __init__(
        self,
        num_blocks: int,
        block_size: int,
        *,
        num_slots: int,
        slot_blocks: int,
        memory: SlotMemory,
        policy: EvictionPolicy | None = None,
        tier: BlockTier | None = None,
        sharing: bool = True,
    ) -> None:
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.stats = CacheStats()
        self._slot_blocks = slot_blocks
        self._memory = memory
        self._width = block_size * TOKEN_BYTES
        self._tree = SlotTree()
        self._policy = LeastRecentlyUsed() if policy is None else policy
        self._tier = tier
        self._sharing = sharing
        self._slots = [Slot(index, self._tree.root(b"")) for index in range(num_slots)]
        self._taken: dict[int, Slot] = {}
        # Blocks of taken slots, of left ones, and with memory behind them.
        self._held = self._cached = self._written = 0
        self._ranks = 0

    @property
    def num_free(self) -> int:
        return self.num_blocks - self._held

    @property
    def num_cached(self) -> int:
        return self._cached

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
        assert sequence not in self._taken, "a sequence was admitted twice"
        wanted, most = admission(len(tokens), self.block_size, need)
        if wanted + reserve > self.num_free or len(self._taken) == len(self._slots):
            return None
        known = as_bytes(tokens[: most * self.block_size]) if self._sharing else b""
        root = self._tree.root(key)
        slot = self._take(sequence, root, self._tree.find(root, known, self._width))
        hits = slot.count * self.block_size
        self._restore(slot, known)
        self._fit()
        self.stats.queried_tokens += len(tokens)
        self.stats.hit_tokens += hits
        self.stats.restored_tokens += slot.count * self.block_size - hits
        return slot.count * self.block_size

    def allocate(self, sequence: int, length: int) -> bool:
        slot = self._taken.get(sequence)
        wanted = self.blocks_for(length)
        if wanted > self._slot_blocks:
            return False
        if wanted - (0 if slot is None else slot.count) > self.num_free:
            return False
        if slot is None:
            if len(self._taken) == len(self._slots):
                return False
            slot = self._take(sequence, self._tree.root(b""), [])
        if wanted > slot.count:
            self._grow(slot, wanted)
            self._fit()
        return True

    def commit(self, sequence: int, tokens: Int64Array) -> None:
        slot = self._taken[sequence]
        done = len(slot.nodes) * self.block_size
        end = len(tokens) // self.block_size * self.block_size
        if not self._sharing or end <= done or slot.dropped:
            return
        assert end <= slot.count * self.block_size, "more tokens are computed than there is room"
        known = as_bytes(tokens[done:end])
        for start in range(0, len(known), self._width):
            self._hold(slot, known[start : start + self._width])

    def block_ids(self, sequence: int, length: int, out: Int32Array) -> int:
        count = self.blocks_for(length)
        slot = self._taken[sequence]
        assert count <= slot.count, "a sequence has no room for its tokens"
        first = slot.index * self._slot_blocks
        out[:count] = np.arange(first, first + count, dtype=np.int32)
        return count

    def trim(self, sequence: int, length: int) -> None:
        slot, count = self._taken[sequence], self.blocks_for(length)
        assert count >= len(slot.nodes), "a block that others may find is cut off"
        if count < slot.count:
            self._held -= slot.count - count
            slot.count = count

    def drop(self, sequence: int, indices: Sequence[int]) -> None:
        if len(indices) == 0:
            return
        slot = self._taken[sequence]
        gone = set(indices)
        assert min(gone) >= 0
        assert max(gone) < slot.count
        self._forget(slot, min(gone))
        kept = [index for index in range(slot.count) if index not in gone]
        first = slot.index * self._slot_blocks
        for target, source in enumerate(kept):
            if source != target:
                self._memory.copy_blocks(first + source, first + target, 1)
        slot.dropped = True
        self._held -= slot.count - len(kept)
        slot.count = len(kept)

    def free(self, sequence: int) -> None:
        slot = self._taken.pop(sequence, None)
        if slot is None:
            return
        slot.taken = False
        self._held -= slot.count
        slot.count = len(slot.nodes)
        self._cached += slot.count
        self._ranks += 1
        slot.rank = self._ranks
        if not slot.nodes:
            return
        last = slot.nodes[-1]
        slot.priority = self._policy.priority(last.uses, last.depth)
        if len(last.slots) > 1:
            self._cut(slot, 0)
            return
        for node in slot.nodes:  # a parent first: what continues it is of no use without it
            self._save(node, slot)

    def save_all(self) -> None:
        if self._tier is None:
            return
        for slot in self._slots:
            if not slot.taken:
                for node in slot.nodes:
                    if not self._save(node, slot):
                        self._tier.drain()
                        self._save(node, slot)
        self._tier.drain()

    def clear(self) -> None:
        for slot in self._slots:
            if not slot.taken:
                self._cut(slot, 0)

    def check_integrity(self) -> None:
        self._tree.check_integrity()
        assert set(map(id, self._taken.values())) == {id(s) for s in self._slots if s.taken}
        assert self._held == sum(slot.count for slot in self._slots if slot.taken)
        assert self._cached == sum(slot.count for slot in self._slots if not slot.taken)
        assert self._written == sum(slot.written for slot in self._slots) <= self.num_blocks
        for slot in self._slots:
            assert len(slot.nodes) <= slot.count <= min(slot.written, self._slot_blocks)
            assert slot.taken or slot.count == len(slot.nodes)
            before = slot.root
            for node in slot.nodes:
                assert node.parent is before, "a chain has a gap"
                assert slot.index in node.slots, "a slot holds what it is not known to hold"
                before = node
        for node in self._tree.nodes():
            index = node.depth // self.block_size - 1
            assert all(self._slots[slot].nodes[index] is node for slot in node.slots)

    def _take(self, sequence: int, root: SlotNode, chain: list[SlotNode]) -> Slot:
        """Give a sequence a slot that begins with a chain, which continues ``root``."""
        slot = min((s for s in self._slots if not s.taken), key=lambda s: self._cost(s, chain))
        stay = _common(slot.nodes, chain)
        self._cut(slot, stay)
        self._cached -= stay
        self._held += stay
        slot.root = root
        slot.taken, slot.dropped = True, False
        self._taken[sequence] = slot
        for node in slot.nodes:
            node.uses += 1
        if stay < len(chain):
            source = next(iter(chain[-1].slots)) * self._slot_blocks
            target = slot.index * self._slot_blocks
            self._memory.copy_blocks(source + stay, target + stay, len(chain) - stay)
            self._grow(slot, len(chain))
            for node in chain[stay:]:
                self._hold(slot, node.tokens)
        return slot

    def _cost(self, slot: Slot, chain: list[SlotNode]) -> tuple[bool, float, int, int, int]:
        """Sorts first the slot whose use loses least, then copies least; low numbers lie together.

        What is not lost: what the sequence begins with, and what other slots hold too.
        """
        stay = _common(slot.nodes, chain)
        # Slots that hold a content hold all before it too: the last one tells.
        if len(slot.nodes) == stay or len(slot.nodes[-1].slots) > 1:
            return False, 0.0, 0, len(chain) - stay, slot.index
        return True, slot.priority, slot.rank, len(chain) - stay, slot.index

    def _restore(self, slot: Slot, known: bytes) -> None:
        """Continue the chain in a slot with what the tier holds of it."""
        if self._tier is None:
            return
        for start in range(slot.count * self._width, len(known), self._width):
            tokens = known[start : start + self._width]
            key = block_key(slot.last.key, tokens)
            block = BlockId(slot.index * self._slot_blocks + slot.count)
            if not self._tier.has(key) or not self._tier.load(key, tokens, block):
                return
            self._grow(slot, slot.count + 1)
            self._hold(slot, tokens)

    def _hold(self, slot: Slot, tokens: bytes) -> None:
        """Note what the next full block of a slot holds."""
        slot.nodes.append(self._tree.hold(slot.last, tokens, slot.index))

    def _grow(self, slot: Slot, count: int) -> None:
        """Let a taken slot have more blocks."""
        self._held += count - slot.count
        slot.count = count
        if count > slot.written:
            self._written += count - slot.written
            slot.written = count

    def _cut(self, slot: Slot, count: int) -> None:
        """Leave the first blocks of a slot that nobody has taken."""
        self._forget(slot, count)
        self._cached -= slot.count - len(slot.nodes)
        slot.count = len(slot.nodes)

    def _forget(self, slot: Slot, count: int) -> None:
        """Let others find no more than the first blocks of a slot."""
        while len(slot.nodes) > count:
            node = slot.nodes.pop()
            if not slot.taken:
                self._save(node, slot)
            if self._tree.release(node, slot.index) and not slot.taken:
                self.stats.evictions += 1
                self._policy.evicted(slot.priority)

    def _fit(self) -> None:
        """Give memory back until it is within the limit; what is used least goes first."""
        if self._written <= self.num_blocks:
            return
        for slot in self._slots:
            self._discard(slot)
        while self._written > self.num_blocks:
            left = [slot for slot in self._slots if not slot.taken and slot.count > 0]
            slot = min(left, key=lambda s: (s.priority, s.rank))
            self._cut(slot, max(0, slot.count - (self._written - self.num_blocks)))
            self._discard(slot)

    def _discard(self, slot: Slot) -> None:
        """Give back the memory behind the blocks that are in use."""
        unused = slot.written - slot.count
        if unused > 0:
            first = slot.index * self._slot_blocks + slot.count
            self._memory.discard_blocks(first, unused)
            self._written -= unused
            slot.written = slot.count

    def _save(self, node: SlotNode, slot: Slot) -> bool:
        """Whether the tier has a block now."""
        tier = self._tier
        if tier is None or tier.has(node.key):
            return True
        index = node.depth // self.block_size - 1
        taken = tier.save(node.key, node.tokens, BlockId(slot.index * self._slot_blocks + index))
        self.stats.saved_blocks += taken
        return taken


def _common(nodes: Sequence[SlotNode], chain: Sequence[SlotNode]) -> int:
    """How long both are the same."""
    count = min(len(nodes), len(chain))
    return next((i for i in range(count) if nodes[i] is not chain[i]), count)
