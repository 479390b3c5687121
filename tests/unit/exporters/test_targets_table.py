from __future__ import annotations

import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.targets.head_graphs import possible_targets
from nanoaccel.exporters.targets.table import (
    BUILT_IN,
    derived,
    target_names,
    target_of,
    with_sources,
)


def test_every_target_stands_behind_the_one_that_it_takes_weights_from() -> None:
    names = list(BUILT_IN)
    for name, target in zip(names, map(target_of, names), strict=True):
        assert target.name == name
        assert target.graph.startswith(f"{name}/")
        assert target.source is None or names.index(target.source) < names.index(name)


@pytest.mark.parametrize(
    ("runtime", "names"),
    [
        ("openvino", ("openvino",)),
        ("onnx", ("onnx",)),
        ("both", ("openvino", "onnx")),
        ("auto", ("onnx",)),
    ],
)
def test_target_names_of_a_choice(runtime: str, names: tuple[str, ...]) -> None:
    assert target_names(runtime) == names


def test_target_names_refuses_an_unknown_choice() -> None:
    with pytest.raises(ConfigError, match="'onyx' is unknown"):
        target_names("onyx")


def test_sources_are_made_first() -> None:
    assert [target.name for target in with_sources(["onnx"])] == ["openvino", "onnx"]
    assert [target.name for target in with_sources(())] == ["openvino"]
    assert [target.name for target in derived(["onnx", "openvino"])] == ["onnx"]


def test_a_head_can_have_graphs_that_are_made_of_those_it_has() -> None:
    assert possible_targets(["openvino"]) == {"openvino", "onnx"}
    assert possible_targets(["onnx"]) == {"onnx"}
