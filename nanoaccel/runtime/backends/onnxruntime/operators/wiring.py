"""Which nodes of a graph make and read a value."""

from __future__ import annotations

from collections.abc import Sequence

from nanoaccel.runtime.backends.onnxruntime.graph.model import Model, Node


class Wiring:
    """Makers and users of values, as the nodes are when this is made.

    Args:
        model: The graph.
        nodes: Its nodes.
    """

    def __init__(self, model: Model, nodes: Sequence[Node]) -> None:
        self._outputs = model.outputs
        self._makers = {name: node for node in nodes for name in node.outputs if name}
        self._users: dict[str, list[Node]] = {}
        for node in nodes:
            for name in dict.fromkeys(node.inputs):
                self._users.setdefault(name, []).append(node)

    def maker(self, name: str) -> Node | None:
        """The node that makes a value; None for inputs and initializers."""
        return self._makers.get(name)

    def users(self, name: str) -> list[Node]:
        """The nodes that read a value."""
        return self._users.get(name, [])

    def only_user(self, name: str) -> Node | None:
        """The one node that reads a value; None when there are others, or the caller reads it."""
        users = self.users(name)
        return users[0] if len(users) == 1 and name not in self._outputs else None

    def is_output(self, name: str) -> bool:
        """Whether the graph gives a value to its caller."""
        return name in self._outputs


def disconnect(*nodes: Node) -> None:
    """Leave nodes unconnected: they go with the unused ones."""
    for node in nodes:
        node.inputs, node.outputs = [], []
