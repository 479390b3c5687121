"""Mixtures of experts: a gate and two products for each expert, and what each of them counts.

What counts how much is a softmax of the largest logits, or anything else: then the logarithms of
the shares are logits whose softmax are the shares again, up to their sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product as every

import numpy as np
from numpy.typing import NDArray

from nanoaccel.exporters.targets.onnx.patterns.expert_nodes import write_experts
from nanoaccel.exporters.targets.onnx.patterns.expert_parts import (
    Activation,
    ExpertsNode,
    Gate,
    Routing,
    Stack,
)
from nanoaccel.exporters.targets.onnx.patterns.plan import Pattern, Plan
from nanoaccel.exporters.targets.onnx.patterns.regions import Region, regions_behind
from nanoaccel.exporters.targets.onnx.source.constants import Constants
from nanoaccel.exporters.targets.onnx.source.graph import Node, SourceGraph, Value
from nanoaccel.exporters.targets.onnx.source.trial import Trial, unsupported
from nanoaccel.exporters.targets.onnx.stacks import read_stack
from nanoaccel.exporters.targets.onnx.weights import leaf_of

_TOKENS = 7
_AXES = 4  # of what experts give: experts, one sequence, tokens, states
_CLOSE = 1e-4
_MOST = 4  # regions that are tried
_SPREAD = 6.0  # of numbers that are tried: some are beyond any limit


@dataclass(frozen=True, slots=True, eq=False)
class _Linear:
    """A product with a matrix of each expert, and a bias of each."""

    source: Value
    result: Value
    stack: Stack


def find_experts(graph: SourceGraph, plan: Plan, constants: Constants) -> None:
    """Find all mixtures of experts.

    Raises:
        UnsupportedModelError: One is activated otherwise than any operator does it.
    """
    finder = _Finder(graph, constants)
    for node in graph.of_kind("ReduceSum"):
        if len(node.inputs[0].shape) == _AXES and constants.integers(node.inputs[1]) == [0]:
            found = finder.find(node)
            if found is not None:
                plan.add(found)


class _Finder:
    """Finds mixtures; those of all layers are alike, so what is known of one is kept."""

    def __init__(self, graph: SourceGraph, constants: Constants) -> None:
        self._graph, self._constants = graph, constants
        self._trial: Trial | None = None
        self._gates: dict[tuple[object, ...], Gate | None] = {}
        self._counts: dict[tuple[object, ...], int | None] = {}

    def find(self, node: Node) -> Pattern | None:
        """The mixture whose sum a node is; None where it is another sum."""
        weighted = node.inputs[0].node
        if weighted.kind != "Multiply":
            return None
        for given, share in (weighted.inputs, reversed(weighted.inputs)):
            table = _shares(share)
            if table is None:
                continue
            down = self._linear(given.node.inputs[0]) if given.node.kind == "Reshape" else None
            if down is None:
                raise _strange(node)
            gate, first = self._gated(down.source)
            x = _everyone(first[0].source)
            if x is None:
                raise _strange(node)
            routing, source = self._routing(table)
            stacks = tuple(one.stack for one in first)
            experts = ExpertsNode(node.name, stacks, down.stack, gate, routing)
            return Pattern(node, [x, source], [node.out], partial(write_experts, experts))
        return None

    def _linear(self, value: Value) -> _Linear | None:
        node, bias = value.node, None
        if node.kind == "Add":
            others = [one for one in node.inputs if one.node.constant]
            inner = [one for one in node.inputs if not one.node.constant]
            if len(others) != 1:
                return None
            bias = self._constants.array(others[0]).astype(np.float32)
            node = inner[0].node
        if node.kind != "MatMul" or not node.inputs[1].node.constant:
            return None
        if len(node.inputs[1].shape) != 3 or leaf_of(node.origin.input_value(1)) is None:
            return None
        weights, rows = read_stack(node.origin)
        biases = None if bias is None else bias.reshape(-1, rows)
        return _Linear(node.inputs[0], value, Stack(weights, rows, biases))

    def _gated(self, inner: Value) -> tuple[Gate, tuple[_Linear, ...]]:
        """How the first product, or two of them, are gated."""
        for first, region in self._ways(inner):
            form = region.form(self._constants)
            if form not in self._gates:
                judge = self._judge_gate if len(first) == 1 else self._judge_activation
                self._gates[form] = judge(region)
            gate = self._gates[form]
            if gate is None:
                raise unsupported(
                    f"its experts are activated by none of SiLU, GELU, ReLU and its square "
                    f"({inner.name})"
                )
            return gate, first
        raise _strange(inner.node)

    def _ways(self, inner: Value) -> Iterator[tuple[tuple[_Linear, ...], Region]]:
        """Linears that an input of the last one comes from, and what is done to the first."""
        if inner.node.kind == "Multiply":
            for activated, other in (inner.node.inputs, inner.node.inputs[::-1]):
                up = self._linear(other)
                if up is None:
                    continue
                for region in regions_behind(self._graph, activated, most=_MOST):
                    gate = self._linear(region.source)
                    if gate is not None and gate.source is up.source:
                        yield (gate, up), region
        for region in regions_behind(self._graph, inner, most=_MOST):
            both = self._linear(region.source)
            if both is not None:
                yield (both,), region

    def _judge_gate(self, region: Region) -> Gate | None:
        x = _numbers(region.source)
        found = self._run(region, x)
        if found is not None and found.shape == x.shape:
            return self._match_activation(region, x, found, gated=False)
        if found is None or 2 * found.shape[-1] != x.shape[-1]:
            return None
        alphas, betas, limits = self._candidates(region)
        for in_turns, (activation, alpha), beta, limit in every(
            (False, True), _activations(alphas), betas, limits
        ):
            gate = Gate(in_turns, alpha, beta, limit, activation)
            if np.allclose(gate.compute(x), found, rtol=_CLOSE, atol=_CLOSE):
                return gate
        return None

    def _judge_activation(self, region: Region) -> Gate | None:
        """What gates become, where up projections only are multiplied with it."""
        x = _numbers(region.source)
        found = self._run(region, x)
        if found is None or found.shape != x.shape:
            return None
        return self._match_activation(region, x, found, gated=True)

    def _match_activation(
        self, region: Region, x: NDArray[np.float32], found: NDArray[np.float32], *, gated: bool
    ) -> Gate | None:
        """The activation that makes some numbers of others."""
        given = np.concatenate([x, np.ones_like(x)], axis=-1) if gated else x
        for activation, alpha in _activations(self._candidates(region)[0]):
            gate = Gate(False, alpha, 0.0, np.inf, activation, gated)
            if np.allclose(gate.compute(given), found, rtol=_CLOSE, atol=_CLOSE):
                return gate
        return None

    def _candidates(self, region: Region) -> tuple[list[float], list[float], list[float]]:
        """Values of alpha, beta and the limit: numbers that stand in a graph."""
        scalars = [self._constants.scalar(value) for value in region.constants()]
        found = [abs(one) for one in scalars if one is not None and one != 0]
        for node in region.nodes:
            if node.kind == "Clamp":
                found.append(float(node.attributes["max"]))
        known = sorted(set(found))
        return [1.0, *known], [0.0, *known], [np.inf, *known]

    def _routing(self, table: Value) -> tuple[Routing, Value]:
        """How shares are told, and the value that tells them."""
        for region in regions_behind(self._graph, table, most=_MOST):
            if region.source.shape != table.shape:
                continue
            form = region.form(self._constants)
            if form not in self._counts:
                self._counts[form] = self._judge_shares(region)
            count = self._counts[form]
            if count is not None:
                return Routing(count, logits=True), region.source
        node = table.node
        size = node.inputs[1].shape[-1] if node.kind == "ScatterElementsUpdate" else None
        if not isinstance(size, int):
            raise unsupported(f"nothing says how many experts are chosen ({table.name})")
        return Routing(size, logits=False), table

    def _judge_shares(self, region: Region) -> int | None:
        """How many are chosen, where shares are a softmax of the largest logits."""
        shape = (_TOKENS, region.source.shape[-1])
        logits = np.random.default_rng(0).standard_normal(shape).astype(np.float32) * 2  # type: ignore[arg-type]
        found = self._run(region, logits)
        if found is None:
            return None
        counts = {int(count) for count in (found > 0).sum(-1)}
        if len(counts) != 1:
            return None
        count = counts.pop()
        least = np.sort(logits, -1)[:, -count][:, None]
        shares = np.exp(logits - logits.max(-1, keepdims=True)) * (logits >= least)
        wanted = shares / shares.sum(-1, keepdims=True)
        return count if np.allclose(wanted, found, atol=_CLOSE) else None

    def _run(self, region: Region, x: NDArray[np.float32]) -> NDArray[np.float32] | None:
        if self._trial is None:
            self._trial = Trial(self._graph, _TOKENS, 0)
        found = self._trial.run([region.result], {region.source: x})
        return None if found is None else found[0]


def _activations(alphas: Sequence[float]) -> list[tuple[Activation, float]]:
    """SiLU with each factor, and others, which have none."""
    others = [(one, 1.0) for one in Activation if one is not Activation.SILU]
    return [*((Activation.SILU, alpha) for alpha in alphas), *others]


def _shares(value: Value) -> Value | None:
    """The shares [T, experts] that are [experts, 1, T, 1] here."""
    for kind in ("Unsqueeze", "Reshape", "Transpose"):
        if value.node.kind != kind:
            return None
        value = value.node.inputs[0]
    return value if len(value.shape) == 2 and value.token_axes == [0] else None


def _everyone(value: Value) -> Value | None:
    """The states [T, H] that all experts read."""
    for kind in ("Reshape", "Tile"):
        if value.node.kind != kind:
            return None
        value = value.node.inputs[0]
    return value if value.token_axes == [0] and len(value.shape) == 2 else None


def _numbers(value: Value) -> NDArray[np.float32]:
    """Random numbers for a value."""
    shape = [_TOKENS if not isinstance(size, int) else size for size in value.shape]
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32) * _SPREAD


def _strange(node: Node) -> Exception:
    return unsupported(f"its experts are computed in another way than QMoE does ({node.name})")
