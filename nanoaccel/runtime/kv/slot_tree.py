"""The tree of prefixes that lie in slots: which slots hold what, so that it can be copied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nanoaccel.runtime.kv.prefix_cache import block_key


@dataclass(slots=True, eq=False)
class SlotNode:
    """The content of a full block. It lies in every slot that holds it, at the same index.

    Args:
        key: See ``block_key``.
        tokens: Its own tokens, little-endian i32.
        depth: Tokens of the prefix that ends with it.
        parent: The block before it; None for the root.
        children: The contents that continue it, by their tokens.
        slots: Those that hold it, and all before it.
        uses: Sequences that have held it.
    """

    key: bytes
    tokens: bytes
    depth: int
    parent: SlotNode | None
    children: dict[bytes, SlotNode] = field(default_factory=dict)
    slots: dict[int, None] = field(default_factory=dict)
    uses: int = 0


class SlotTree:
    """Contents of blocks by their whole prefix.

    Contents of requests with different keys are kept apart: each key has a root of its own.
    """

    def __init__(self) -> None:
        self._roots: dict[bytes, SlotNode] = {}

    def root(self, key: bytes) -> SlotNode:
        """The parent of first blocks; ``key`` is where the keys of blocks begin."""
        root = self._roots.get(key)
        if root is None:
            root = self._roots[key] = SlotNode(key, b"", 0, None)
        return root

    def find(self, root: SlotNode, tokens: bytes, width: int) -> list[SlotNode]:
        """The longest chain that holds a prefix of ``tokens``, each ``width`` bytes."""
        chain: list[SlotNode] = []
        node: SlotNode | None = root
        for start in range(0, len(tokens), width):
            assert node is not None
            node = node.children.get(tokens[start : start + width])
            if node is None:
                break
            chain.append(node)
        return chain

    def hold(self, parent: SlotNode, tokens: bytes, slot: int) -> SlotNode:
        """Note that a slot, which holds ``parent``, holds what continues it."""
        node = parent.children.get(tokens)
        if node is None:
            key = block_key(parent.key, tokens)
            node = SlotNode(key, tokens, parent.depth + len(tokens) // 4, parent)
            parent.children[tokens] = node
        node.slots[slot] = None
        node.uses += 1
        return node

    def release(self, node: SlotNode, slot: int) -> bool:
        """Note that a slot holds a content no longer; deepest first.

        Returns:
            True when it was the last one, and the content is lost.
        """
        del node.slots[slot]
        if node.slots:
            return False
        assert node.parent is not None
        assert not node.children, "what continues it is held by a slot that does not hold it"
        del node.parent.children[node.tokens]
        return True

    def nodes(self) -> Iterator[SlotNode]:
        """All contents, parents first."""
        waiting = [node for root in self._roots.values() for node in root.children.values()]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.children.values())

    def check_integrity(self) -> None:
        """Assert that links and holders agree."""
        for node in self.nodes():
            parent = node.parent
            assert parent is not None
            assert parent.children[node.tokens] is node
            assert node.depth == parent.depth + len(node.tokens) // 4
            assert node.key == block_key(parent.key, node.tokens)
            assert node.slots, "nobody holds it"
            assert parent.parent is None or node.slots.keys() <= parent.slots.keys()
            assert node.uses >= len(node.slots)
