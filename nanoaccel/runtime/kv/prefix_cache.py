"""The tree of cached prefixes: which blocks can be found again, and which of them goes first."""

from __future__ import annotations

import hashlib
import heapq
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from nanoaccel.runtime.kv.base import TOKEN_BYTES, Tokens, num_common
from nanoaccel.runtime.kv.block_pool import BlockId
from nanoaccel.runtime.kv.eviction import EvictionPolicy


def block_key(parent_key: bytes, tokens: bytes) -> bytes:
    """The name of a block's content outside of the tree: a hash of its whole prefix.

    Args:
        parent_key: Key of the block before it.
        tokens: Its own tokens, little-endian i32.
    """
    return hashlib.blake2b(parent_key + tokens, digest_size=16).digest()


def _as_tokens(content: bytes) -> Tokens:
    return np.frombuffer(content, "<i4")


@dataclass(slots=True, eq=False)
class PrefixNode:
    """A full block at its place in the tree.

    Args:
        key: See ``block_key``.
        tokens: Its own tokens, little-endian i32.
        block: Where its keys and values are.
        depth: Tokens of the prefix that ends with it.
        parent: The block before it; None when it has left the tree (and for the root).
        children: The blocks that continue it, by their tokens.
        sorted_tokens: The tokens of the children, in the order of their bytes.
        owners: Sequences that hold it.
        owned_children: How many of the children are owned.
        uses: Sequences that have held it.
        priority: What the policy said when its last owner left.
        rank: When that was, as a number that grows; -1 when it has left the tree.
    """

    key: bytes
    tokens: bytes
    block: BlockId
    depth: int
    parent: PrefixNode | None
    children: dict[bytes, PrefixNode] = field(default_factory=dict)
    sorted_tokens: list[bytes] = field(default_factory=list)
    owners: int = 1
    owned_children: int = 0
    uses: int = 1
    priority: float = 0.0
    rank: int = 0


class PrefixCache:
    """Full blocks by what they hold: a block continues its parent with its own tokens.

    A step down the tree compares the tokens themselves, not a hash of them, so two contents are
    never mixed up.

    An unowned block can be evicted once nothing continues it, so the ends of the tree go first.
    An owned block usually has an owned parent; one whose owner has dropped the parent alone
    makes the parent a **bridge**: it goes after all others, and what it leads to leaves the tree.

    Contents of requests with different keys are kept apart: each key has a root of its own.

    Args:
        policy: Gives the order of eviction.
    """

    def __init__(self, policy: EvictionPolicy) -> None:
        self._roots: dict[bytes, PrefixNode] = {}
        self.num_unowned = 0
        self._policy = policy
        self._ranks = count()
        # Unowned blocks that nothing continues. A block that is owned again leaves its entry
        # behind, to be known by the rank.
        self._leaves: list[tuple[float, int, PrefixNode]] = []
        self._bridges: dict[PrefixNode, None] = {}

    def root(self, key: bytes) -> PrefixNode:
        """The parent of first blocks; ``key`` is where the keys of blocks begin."""
        root = self._roots.get(key)
        if root is None:
            root = self._roots[key] = PrefixNode(key, b"", BlockId(-1), 0, None)
        return root

    def find(self, root: PrefixNode, tokens: bytes, width: int) -> list[PrefixNode]:
        """The longest chain of blocks that holds a prefix of ``tokens``, each ``width`` bytes."""
        chain = []
        node: PrefixNode | None = root
        for start in range(0, len(tokens), width):
            assert node is not None
            node = node.children.get(tokens[start : start + width])
            if node is None:
                break
            chain.append(node)
        return chain

    def closest(self, parent: PrefixNode, tokens: bytes) -> tuple[PrefixNode, int] | None:
        """The child that begins with most of ``tokens``, and how many tokens those are.

        In the order of their bytes, it is one of the two between which ``tokens`` would stand.
        """
        at = bisect_left(parent.sorted_tokens, tokens)
        near = parent.sorted_tokens[max(0, at - 1) : at + 1]
        wanted = _as_tokens(tokens)
        counts = [num_common(_as_tokens(one), wanted) for one in near]
        most = max(counts, default=0)
        return (parent.children[near[counts.index(most)]], most) if most > 0 else None

    def insert(self, parent: PrefixNode, tokens: bytes, block: BlockId) -> PrefixNode:
        """Add a block that continues an owned one and has one owner itself."""
        assert tokens not in parent.children
        key = block_key(parent.key, tokens)
        depth = parent.depth + len(tokens) // TOKEN_BYTES
        node = PrefixNode(key, tokens, block, depth, parent)
        parent.children[tokens] = node
        insort(parent.sorted_tokens, tokens)
        parent.owned_children += 1
        return node

    def acquire(self, node: PrefixNode) -> None:
        """Add an owner, after the parent got it."""
        if node.owners == 0:
            assert node.parent is not None
            node.parent.owned_children += 1
            self.num_unowned -= 1
            self._bridges.pop(node, None)
        node.owners += 1
        node.uses += 1

    def release(self, node: PrefixNode) -> bool:
        """Take an owner away; of a chain, from the deepest block first.

        Returns:
            True when it was the last and the block stays in the tree.
        """
        node.owners -= 1
        if node.owners > 0 or node.parent is None:
            return False
        self.num_unowned += 1
        node.priority = self._policy.priority(node.uses, node.depth)
        node.rank = next(self._ranks)
        if node.owned_children > 0:
            self._bridges[node] = None
        elif not node.children:
            self._push(node)
        node.parent.owned_children -= 1
        if node.parent.owned_children == 0:
            self._bridges.pop(node.parent, None)
        return True

    def evict(self) -> list[PrefixNode]:
        """Take the next victim out, and with a bridge all that nobody can find any more.

        Returns:
            The unowned blocks that went, one or more; there must be an unowned one.
        """
        assert self.num_unowned > 0
        while (leaf := self._pop()) is None:
            bridge = next(iter(self._bridges))
            del self._bridges[bridge]
            gone = [lost for child in list(bridge.children.values()) for lost in self._cut(child)]
            bridge.owned_children = 0
            self._push(bridge)
            if gone:
                return gone
        parent = leaf.parent
        assert parent is not None
        self._cut(leaf)
        self._policy.evicted(leaf.priority)
        if parent.owners == 0 and not parent.children:
            self._push(parent)
        return [leaf]

    def clear(self) -> list[PrefixNode]:
        """Take all unowned blocks out, and what nobody can find without them; gives the unowned."""
        gone = []
        for node in list(self.nodes()):
            if node.owners == 0 and node.parent is not None:
                gone += self._cut(node)
        self._leaves.clear()
        return gone

    def nodes(self) -> Iterator[PrefixNode]:
        """All blocks of the tree, parents first."""
        waiting = [node for root in self._roots.values() for node in root.children.values()]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.children.values())

    def check_integrity(self) -> None:
        """Assert that links, counts and the order of eviction agree."""
        assert all(root.owners == 1 for root in self._roots.values())
        nodes = list(self.nodes())
        for node in nodes:
            parent = node.parent
            assert parent is not None
            assert parent.children[node.tokens] is node
            assert node.depth == parent.depth + len(node.tokens) // TOKEN_BYTES
            assert node.key == block_key(parent.key, node.tokens)
            assert node.uses >= node.owners
        for node in [*self._roots.values(), *nodes]:
            owned = sum(child.owners > 0 for child in node.children.values())
            assert node.owned_children == owned
            assert node.sorted_tokens == sorted(node.children)
        unowned = [node for node in nodes if node.owners == 0]
        assert self.num_unowned == len(unowned)
        assert set(self._bridges) == {node for node in unowned if node.owned_children > 0}
        leaves = [node for _, rank, node in self._leaves if self._is_due(node, rank)]
        assert len(leaves) == len(set(leaves)), "a leaf waits twice"
        assert set(leaves) == {node for node in unowned if not node.children}

    def _cut(self, top: PrefixNode) -> list[PrefixNode]:
        """Take a block and all below it out of the tree; gives those of them that are unowned.

        Owned ones go on as plain blocks of their owners.
        """
        assert top.parent is not None
        siblings = top.parent.sorted_tokens
        del top.parent.children[top.tokens]
        del siblings[bisect_left(siblings, top.tokens)]
        gone = []
        waiting = [top]
        while waiting:
            node = waiting.pop()
            waiting.extend(node.children.values())
            node.children.clear()
            node.sorted_tokens.clear()
            node.parent = None
            node.owned_children = 0
            node.rank = -1
            self._bridges.pop(node, None)
            if node.owners == 0:
                gone.append(node)
        self.num_unowned -= len(gone)
        return gone

    def _push(self, leaf: PrefixNode) -> None:
        if len(self._leaves) > 2 * self.num_unowned + 16:
            self._leaves = [entry for entry in self._leaves if self._is_due(entry[2], entry[1])]
            heapq.heapify(self._leaves)
        heapq.heappush(self._leaves, (leaf.priority, leaf.rank, leaf))

    def _pop(self) -> PrefixNode | None:
        while self._leaves:
            _, rank, node = heapq.heappop(self._leaves)
            if self._is_due(node, rank):
                return node
        return None

    @staticmethod
    def _is_due(node: PrefixNode, rank: int) -> bool:
        return node.owners == 0 and node.rank == rank
