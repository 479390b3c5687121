"""What NNCF measures of a model, measured block by block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from nanoaccel.exporters.progress import Tell
from nanoaccel.exporters.targets.openvino.runner import fast_options

if TYPE_CHECKING:
    import openvino as ov

    from nanoaccel.exporters.targets.openvino.segments import Arrays


@contextmanager
def block_by_block(tell: Tell) -> Iterator[None]:
    """Inside, NNCF runs a model over its samples in pieces, so that one block is in memory.

    What it measures stays the same, but for the rounding of sums.

    Args:
        tell: Called with the share of the run that is done.
    """
    from nncf.openvino.statistics.aggregator import OVStatisticsAggregator as Aggregator

    collect = Aggregator.collect_statistics

    def collect_in_pieces(aggregator: Any, model: ov.Model, graph: Any) -> None:
        if aggregator.statistic_points:
            _collect(aggregator, model, graph, tell)

    Aggregator.collect_statistics = collect_in_pieces
    try:
        yield
    finally:
        Aggregator.collect_statistics = collect


def _collect(aggregator: Any, model: ov.Model, graph: Any, tell: Tell) -> None:
    """As ``StatisticsAggregator.collect_statistics`` of NNCF 3.4, with another way to run it."""
    from nncf.common.factory import ModelTransformerFactory
    from nncf.common.tensor_statistics.collectors import TensorCollector
    from nncf.tensor import Tensor

    from nanoaccel.exporters.targets.openvino.segments import SegmentedGraph

    aggregator._name_to_node_mapping = {op.get_friendly_name(): op for op in model.get_ops()}
    merged = aggregator._get_merged_statistic_points(aggregator.statistic_points, model, graph)
    collectors = _collectors(aggregator, merged)
    if not collectors:
        return
    layout = aggregator._get_transformation_layout_extra_outputs(merged)
    measured = ModelTransformerFactory.create(model).transform(layout)
    wanted = {name for _, outputs in collectors for _, names in outputs for name in names}
    for result in list(measured.get_results()):  # the logits need not be computed
        if not wanted & set(result.output(0).get_names()):
            measured.remove_result(result)

    def take(_: int, outputs: Arrays) -> None:
        tensors = {name: Tensor(array) for name, array in outputs.items()}
        for collector, inputs in collectors:
            if all(name in tensors for _, names in inputs for name in names):
                collector.register_inputs(
                    TensorCollector.get_tensor_collector_inputs(tensors, inputs)
                )

    count = aggregator._get_iterations_number()
    samples = list(islice(aggregator.dataset.get_inference_data(), count))
    SegmentedGraph(measured, fast_options()).run(
        samples, take, lambda done: tell(done, "statistics collection")
    )


def _collectors(aggregator: Any, points: Any) -> list[tuple[Any, list[tuple[int, list[str]]]]]:
    """What collects, each with the names of the outputs that its reducers read."""
    from nncf.openvino.graph.node_utils import get_reducer_output_node_names

    found = []
    for _, point, collector in points.get_tensor_collectors():
        node, port, _ = aggregator._translate_to_post_layer_operation(point)
        inputs = [
            (
                hash(reducer),
                get_reducer_output_node_names(
                    reducer.name, node, port, reducer.output_port_id, reducer.inplace
                ),
            )
            for reducer in collector.reducers
        ]
        found.append((collector, inputs))
    return found
