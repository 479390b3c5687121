"""From the stateful graph to one with block tables and chosen logits rows."""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino._offline_transformations import paged_attention_transformation

from nanoaccel.bundle.long_factors import RUNTIME_INFO, LongFactors
from nanoaccel.errors import BundleError

LOGITS_ROWS = "logits_rows"
_TOKENS = ("input_ids", "position_ids")


class UnpagedError(BundleError):
    """The attention of a graph is none that OpenVINO pages."""


def make_paged(model: ov.Model, *, attention_scores: bool) -> None:
    """Replace the graph's own key-value state by a paged cache and select logits rows, in place.

    Args:
        model: The graph.
        attention_scores: Add outputs scores.L f32[S], for each layer what ``StepResult.scores`` is
            for all; the input score_aggregation_window i32[B] tells how many of a sequence's last
            tokens count.

    Raises:
        UnpagedError: OpenVINO cannot page its attention; the graph may be half changed.
    """
    try:
        paged_attention_transformation(
            model, use_score_outputs=attention_scores, allow_score_aggregation=attention_scores
        )
    except RuntimeError as error:
        raise UnpagedError(
            "the graph has no key-value state that can be paged",
            "Export it with past (optimum-intel's task text-generation-with-past)",
        ) from error
    select_rows(model, axis=0)


def read_long_factors(model: ov.Model) -> LongFactors | None:
    """How a graph is told which texts are long; None where it says nothing of that."""
    if not model.has_rt_info(RUNTIME_INFO):
        return None
    return LongFactors.parse(model.get_rt_info(RUNTIME_INFO).astype(str))


def with_tokens(model: ov.Model, count: int) -> ov.Model:
    """The same graph, over the same weights, for passes of ``count`` tokens only."""
    fixed = model.clone()
    names = {value.get_any_name() for value in fixed.inputs}
    fixed.reshape({name: [count] for name in _TOKENS if name in names})
    return fixed


def selected_states(model: ov.Model) -> ov.Output | None:
    """What the last projection reads, H numbers for each token; None where there is none.

    Args:
        model: A graph that ``make_paged`` made.
    """
    projection = last_projection(model)
    if projection.get_type_name() != "MatMul":
        return None
    return projection.input_value(0).get_node().input_value(0)


def last_projection(model: ov.Model) -> ov.Node:
    """The node that makes logits from hidden states, or the result when none is found.

    Between it and the result stand only element-wise operations (scaling, soft capping, types).
    """
    result = model.output("logits").get_node()
    node = result
    while node.get_type_name() != "MatMul":
        dynamic = [
            value.get_source_output().get_node()
            for value in node.inputs()
            if value.get_source_output().get_node().get_type_name() != "Constant"
        ]
        if len(dynamic) != 1:
            return result
        node = dynamic[0]
    return node


def select_rows(model: ov.Model, axis: int) -> None:
    """Compute logits of the wanted rows only: gather them before the last projection, in place.

    A prompt of 512 tokens then pays for one row of the vocabulary and not for 512.

    Args:
        model: The graph.
        axis: Of tokens, in what the projection reads.
    """
    wanted = ops.parameter([-1], np.int64, name=LOGITS_ROWS)
    wanted.output(0).set_names({LOGITS_ROWS})
    target = last_projection(model).input(0)
    rows = ops.gather(target.get_source_output(), wanted, ops.constant(np.int64(axis)))
    target.replace_source_output(rows.output(0))
    model.add_parameters([wanted])
    model.validate_nodes_and_infer_types()
