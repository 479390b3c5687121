"""Gives a step to the graph, in tensors that are bound once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from nanoaccel.bundle.packed_graph import FEATURES
from nanoaccel.errors import BundleError
from nanoaccel.runtime.backends.openvino.cache_inputs import is_cache, is_state
from nanoaccel.runtime.backends.openvino.paged_graph import LOGITS_ROWS
from nanoaccel.runtime.types.plan import Float32Array, Int32Array, Int64Array, StepPlan

_FIRST_CAPACITY = 64
_POSITIONS = "position_ids"
_FIELDS = {
    "input_ids": "token_ids",
    _POSITIONS: "positions",  # not every graph has it
    "past_lens": "past_lens",
    "subsequence_begins": "seq_begins",
    "block_indices": "block_ids",
    "block_indices_begins": "block_begins",
    LOGITS_ROWS: "logits_rows",
    FEATURES: "features",  # of a head
}
_STATE_FIELDS = {
    "la.block_indices": "slots",
    "la.block_indices_begins": "begins",
    "la.past_lens": "offsets",  # modulo the interval, all that is read of them
    "la.cache_interval": "intervals",
}
_SCORED_TOKENS = "score_aggregation_window"
_LONGEST = "max_context_len"

_Pads: TypeAlias = NDArray[Any]
_MOST_PADS = 32  # tokens of the spare block
_ZEROS, _RAMP = np.zeros(_MOST_PADS, np.int64), np.arange(_MOST_PADS)
_NO_PADS = _ZEROS[:0]


def check_inputs(model: ov.Model, graph: Path, *, rotary: bool = False) -> None:
    """Refuse a paged graph without attention, or with inputs that no step gives.

    Args:
        model: The graph.
        graph: Its file.
        rotary: Whether it must be given the positions of tokens, as far as that is known: one that
            counts them by itself begins at 0 with each pass.

    Raises:
        BundleError: It is one; the message names the inputs.
    """
    names = [value.get_any_name() for value in model.inputs]
    if _LONGEST not in names or not any(map(is_cache, names)):
        raise BundleError(
            f"{graph} has no attention that can be paged", "Use a model of another architecture"
        )
    if rotary and _POSITIONS not in names:
        raise BundleError(f"{graph} counts positions by itself", "Export the model again")
    known = {*_FIELDS, *_STATE_FIELDS, _SCORED_TOKENS, _LONGEST}
    held = [name for name in names if is_cache(name) or is_state(name)]
    unknown = [name for name in names if name not in known and name not in held]
    if unknown:
        raise BundleError(
            f"{graph} has inputs that the engine does not give: {', '.join(unknown[:4])}",
            "Use a model of another architecture",
        )


class StepInputs:
    """The inputs of a graph that differ from step to step.

    Each has memory for the largest step so far, and only a larger one allocates.

    A pass that is padded has one sequence more, of tokens that nobody asked for.

    Args:
        request: What runs the graph.
        inputs: The graph's inputs; cache inputs are left alone.

    Attributes:
        spare_block: A cache block that belongs to no sequence, for that one.
        spare_state: The slot of a recurrent state that belongs to none, too.
    """

    def __init__(self, request: ov.InferRequest, inputs: list[ov.Output]) -> None:
        names = [value.get_any_name() for value in inputs]

        def bind(name: str) -> _GrowingTensor:
            index = names.index(name)
            return _GrowingTensor(request, index, inputs[index])

        self._fields = [(field, bind(name)) for name, field in _FIELDS.items() if name in names]
        self._state_fields = [
            (field, bind(name)) for name, field in _STATE_FIELDS.items() if name in names
        ]
        self._scored_tokens = bind(_SCORED_TOKENS) if _SCORED_TOKENS in names else None
        self._longest = np.zeros((), np.int32)
        shared = ov.Tensor(self._longest, shared_memory=True)
        request.set_input_tensor(names.index(_LONGEST), shared)
        self._lengths = np.empty(_FIRST_CAPACITY, np.int32)
        self.spare_block = self.spare_state = 0

    def set(self, plan: StepPlan) -> None:
        """Copy a step into the graph's inputs."""
        pads = self._pads(plan) if plan.num_pads > 0 else {}
        for field, tensor in self._fields:
            tensor.fill(getattr(plan, field), pads.get(field, _NO_PADS))
        for field, tensor in self._state_fields:
            tensor.fill(getattr(plan.recurrent, field), pads.get(field, _NO_PADS))
        size = len(plan.past_lens)
        if size > len(self._lengths):
            self._lengths = np.empty(2 * size, np.int32)
        lengths = self._lengths[:size]
        np.subtract(plan.seq_begins[1:], plan.seq_begins[:-1], out=lengths)
        if self._scored_tokens is not None:
            self._scored_tokens.fill(lengths, pads.get("lengths", _NO_PADS))
        lengths += plan.past_lens
        self._longest[...] = max(plan.num_pads, lengths.max())

    def _pads(self, plan: StepPlan) -> dict[str, _Pads]:
        """What follows each array in a pass that is padded."""
        count = plan.num_pads
        assert count <= _MOST_PADS, "they go into one block"
        pads = {
            "token_ids": _ZEROS[:count],
            "positions": _RAMP[:count],
            "past_lens": _ZEROS[:1],
            "seq_begins": np.array([plan.pad_to]),
            "block_ids": np.array([self.spare_block]),
            "block_begins": plan.block_begins[-1:] + 1,
            "features": _ZEROS[:count, None],
            "lengths": np.array([count]),
        }
        if plan.recurrent is not None:
            pads["slots"] = np.array([0, self.spare_state])
            pads["begins"] = plan.recurrent.begins[-1:] + 2
            pads["intervals"] = np.array([count])
            pads["offsets"] = _ZEROS[:1]
        return pads


class _GrowingTensor:
    """A tensor [n, ...] that is bound to an input of a request.

    It keeps its memory when it shrinks, and the request sees its new shape.
    """

    def __init__(self, request: ov.InferRequest, index: int, value: ov.Output) -> None:
        self._request = request
        self._index = index
        self._type = value.get_element_type()
        rows, *row = value.get_partial_shape()
        self._row = tuple(size.get_length() for size in row)
        self._capacity = self._size = 0
        self._reserve(rows.get_length() if rows.is_static else _FIRST_CAPACITY)

    def fill(self, array: Int32Array | Int64Array | Float32Array, pads: _Pads) -> None:
        size = len(array) + len(pads)
        if size > self._capacity:
            self._reserve(max(size, 2 * self._capacity))
        if size != self._size:
            self._tensor.shape = (size, *self._row)
            self._size = size
        data = self._tensor.data
        data[: len(array)] = array
        if len(pads) > 0:
            data[len(array) :] = pads

    def _reserve(self, capacity: int) -> None:
        self._tensor = ov.Tensor(self._type, (capacity, *self._row))
        self._capacity = self._size = capacity
        self._request.set_input_tensor(self._index, self._tensor)
