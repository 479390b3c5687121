"""Which states each sequence goes on from, and which can be found again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from nanoaccel.runtime.kv.block_pool import BlockId
from nanoaccel.runtime.kv.prefix_cache import PrefixNode
from nanoaccel.runtime.kv.recurrent.borders import (
    Kept,
    around,
    at_borders,
    at_end,
    at_last_border,
    behind_each,
)
from nanoaccel.runtime.kv.recurrent.slots import NO_TOKENS, StateId, StateSlots
from nanoaccel.runtime.kv.tier import BlockTier
from nanoaccel.runtime.types.packing import StateSteps

# Tokens of a pass, draft tokens among them, behind each of which a state may be kept.
_MOST_CHECKED = 64


@dataclass(slots=True)
class _Held:
    """The states of a sequence.

    Args:
        length: Tokens whose state it goes on from.
        state: Where that is.
        border: The last full block of what it knew when it began ends there.
        kept: Behind which tokens the next pass keeps a state.
        pending: Where these go.
        trail: Block that was found last while it was written, behind ``border``.
    """

    length: int = 0
    state: StateId = NO_TOKENS
    border: int = 0
    kept: Kept | None = None
    pending: list[StateId] = field(default_factory=list)
    trail: PrefixNode | None = None


class RecurrentStates:
    """Keeps account of states; the memory behind them belongs to the backend.

    A pass reads one state of a sequence and writes others, never over the one that it read: it can
    be run again, and what is refused of it is forgotten by going on from another. With draft tokens
    it leaves a state behind each token, and the one behind the last accepted token is the next to
    be read. Nothing is copied. Where writing states takes longer than computing tokens again, it
    leaves one before the draft tokens and one behind them: when some of them are refused, those
    before are computed again with the next token.

    Snapshots are states behind full blocks that can be found again. They are taken at the last full
    block of a prompt, every ``interval`` tokens before it, and at full blocks while a text is
    written, of which the latest stays and every one a whole ``interval`` from the start. They go
    when room is needed, the one that was used longest ago first, or with their block.

    Each running sequence is sure of two states, one to read and one to write.

    Args:
        num_states: Slots of the backend, 2 or more.
        block_size: Tokens in a block.
        interval: Tokens between two snapshots of a prompt, a multiple of the block size.
        every: Whether a state is kept behind each draft token.
        sharing: Whether snapshots are taken.
        tier: Where snapshots go, and come back from.
    """

    def __init__(
        self,
        num_states: int,
        block_size: int,
        interval: int,
        *,
        every: bool,
        sharing: bool,
        tier: BlockTier | None = None,
    ) -> None:
        assert interval % block_size == 0
        self.num_states = num_states
        self._block_size = block_size
        self._interval = interval
        self._every = every
        self._sharing = sharing
        self._tier = tier
        self._slots = StateSlots(num_states)
        self._held: dict[int, _Held] = {}
        self._snapshots: OrderedDict[PrefixNode, StateId] = OrderedDict()

    @property
    def num_snapshots(self) -> int:
        """States that can be found again."""
        return len(self._snapshots)

    @property
    def num_free(self) -> int:
        """States that can be had now."""
        return self._slots.num_free + self._num_idle

    @property
    def _num_idle(self) -> int:
        """Snapshots that no sequence goes on from."""
        return sum(not self._slots.is_shared(slot) for slot in self._snapshots.values())

    def has_room(self) -> bool:
        """Whether one more sequence can begin, and all that run can go on."""
        running = len(self._held)
        return 2 * (running + 1) <= self.num_states and self.num_free > running

    def begin(self, sequence: int, known: int, length: int, node: PrefixNode | None) -> None:
        """Let a sequence go on behind a block.

        Args:
            sequence: A number that holds nothing yet.
            known: All its tokens.
            length: Tokens up to the end of the block.
            node: The block, which has a snapshot; None to begin without tokens.
        """
        border = (known - 1) // self._block_size * self._block_size
        held = self._held[sequence] = _Held(length, border=border)
        if node is not None:
            held.state = self._snapshots[node]
            self._slots.hold(held.state)
            self._snapshots.move_to_end(node)

    def reserve(self, sequence: int, length: int, drafts: int) -> bool:
        """Find room for the states that the next pass of a sequence leaves.

        Args:
            sequence: The sequence; one that holds nothing begins without tokens.
            length: Tokens that it has cached behind the pass.
            drafts: How many of them are draft tokens.

        Returns:
            False, with nothing changed, when there is no room for the states of a pass with draft
            tokens, or it would leave no snapshot of a prompt.
        """
        held = self._held.setdefault(sequence, _Held())
        # Of the others, those that have room for their pass already need no more.
        others = sum(one is not held and not one.pending for one in self._held.values())
        room = self.num_free + len(held.pending) - others
        if drafts == 0:
            kept = self._few(held, length, room)
        else:
            kept = self._checked(held.length, length - drafts, length)
            if len(kept.lengths) > room or (self._sharing and held.length < held.border):
                return False
        self._forget_pending(held)
        held.kept = kept
        held.pending = [self._take() for _ in kept.lengths]
        return True

    def steps(self, sequence: int, length: int) -> StateSteps:
        """What a pass reads and writes that ends with the first ``length`` tokens."""
        held = self._held[sequence]
        assert held.kept is not None, "a pass without room for its states"
        kept = held.kept if length == held.kept.end else held.kept.cut(length)
        written = held.pending[: len(kept.lengths)]
        return StateSteps((held.state, *written), kept.interval, kept.offset)

    def kept_length(self, sequence: int, length: int) -> int:
        """The last length up to ``length`` behind which the pass of a sequence kept its state."""
        kept = self._held[sequence].kept
        assert kept is not None, "a pass was taken twice"
        return max(one for one in kept.lengths if one <= length)

    def commit(self, sequence: int, length: int, nodes: Sequence[PrefixNode]) -> None:
        """Go on from the state behind the first ``length`` tokens.

        Args:
            sequence: The sequence, whose pass is done.
            length: As ``kept_length`` gives it.
            nodes: Its full blocks that can be found.
        """
        held = self._held[sequence]
        assert held.kept is not None, "a pass was taken twice"
        state = None
        for end, slot in zip(held.kept.lengths, held.pending, strict=True):
            index, rest = divmod(end, self._block_size)
            if end <= length and rest == 0 and index <= len(nodes) and self._sharing:
                self._attach(held, nodes[index - 1], end, slot)
            if end == length:
                state = slot
        assert state is not None, "no state was kept there"
        self._slots.hold(state)
        self._slots.let_go(held.state)
        self._forget_pending(held)
        held.state, held.length = state, length

    def shift(self, sequence: int, tokens: int) -> None:
        """Count a sequence without tokens whose keys and values were dropped."""
        held = self._held[sequence]
        held.length -= tokens
        held.border = 0  # what it holds is no prefix any more

    def knows(self, key: bytes, node: PrefixNode | None) -> bool:
        """Whether the state behind a block is in memory or in the tier.

        Args:
            key: Key of the block.
            node: The block itself, when that is in memory.
        """
        in_memory = node is not None and node in self._snapshots
        return in_memory or (self._tier is not None and self._tier.has(key))

    def load(self, node: PrefixNode) -> bool:
        """Bring the state behind a block into memory; whether it is there now."""
        if node in self._snapshots:
            return True
        if self._tier is None or not self._tier.has(node.key) or self.num_free == 0:
            return False
        slot = self._take()
        if not self._tier.load(node.key, node.tokens, BlockId(slot)):
            self._slots.let_go(slot)
            return False
        self._snapshots[node] = slot
        return True

    def save(self, node: PrefixNode) -> bool:
        """Whether the tier has the state behind a block now, if there is both."""
        slot = self._snapshots.get(node)
        if slot is None or self._tier is None or self._tier.has(node.key):
            return True
        return self._tier.save(node.key, node.tokens, BlockId(slot))

    def drain(self) -> None:
        """Wait until what was saved is where it survives the process."""
        if self._tier is not None:
            self._tier.drain()

    def free(self, sequence: int) -> None:
        """Let go of all states of a sequence; one that holds none is fine."""
        held = self._held.pop(sequence, None)
        if held is not None:
            self._forget_pending(held)
            self._slots.let_go(held.state)

    def forget(self, node: PrefixNode) -> None:
        """Let go of the snapshot of a block, if it has one."""
        slot = self._snapshots.pop(node, None)
        if slot is not None:
            self._slots.let_go(slot)

    def check_integrity(self, nodes: set[PrefixNode]) -> None:
        """Assert that every state is accounted for.

        Args:
            nodes: Blocks that can be found, or that a sequence holds.
        """
        assert set(self._snapshots) <= nodes, "a snapshot has no block"
        held = [slot for one in self._held.values() for slot in (one.state, *one.pending)]
        self._slots.check_integrity([*held, *self._snapshots.values()])

    def _checked(self, begin: int, known: int, end: int) -> Kept:
        """Of a pass with draft tokens behind the first ``known`` tokens."""
        if self._every and end - begin <= _MOST_CHECKED:
            return behind_each(begin, end)
        return around(begin, known, end)

    def _few(self, held: _Held, length: int, room: int) -> Kept:
        assert room > 0, "a running sequence is sure of a state to write"
        begin = held.length
        if not self._sharing:
            return at_end(begin, length)
        kept = at_borders(begin, length, held.border, self._interval)
        if len(kept.lengths) > room:
            kept = at_last_border(begin, length, held.border, self._interval)
        return kept if len(kept.lengths) <= room else at_end(begin, length)

    def _attach(self, held: _Held, node: PrefixNode, end: int, slot: StateId) -> None:
        """Let a state be found behind a block."""
        if node not in self._snapshots:
            self._snapshots[node] = slot
            self._slots.hold(slot)
        self._snapshots.move_to_end(node)
        if end <= held.border:
            return
        before, held.trail = held.trail, node
        if before is not None and before is not node and before.depth % self._interval != 0:
            self.forget(before)

    def _take(self) -> StateId:
        """A state of nobody; the snapshot that was used longest ago goes when none is free."""
        if self._slots.num_free == 0:
            node = next(
                node for node, slot in self._snapshots.items() if not self._slots.is_shared(slot)
            )
            self.save(node)
            self.forget(node)
        return self._slots.take()

    def _forget_pending(self, held: _Held) -> None:
        for slot in held.pending:
            self._slots.let_go(slot)
        held.kept, held.pending = None, []
