from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from nanoaccel.errors import ConfigError, MissingExtraError
from nanoaccel.registry import BACKENDS, BackendFacts, ExtensionPoint

MINE = BackendFacts(graph="mine/graph")


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch) -> ExtensionPoint:
    plugin = EntryPoint("mine", "json:loads", "nanoaccel.things")

    def installed(group: str, name: str = "mine") -> EntryPoints:
        return EntryPoints([plugin]).select(group=group, name=name)

    monkeypatch.setattr(importlib.metadata, "entry_points", installed)
    return ExtensionPoint("nanoaccel.things", {"join": "os.path:join"})


def test_extension_point_resolves_built_in_and_plugged_in_names(point: ExtensionPoint) -> None:
    assert point.names() == ["join", "mine"]
    assert point.resolve("join")("a", "b") == "a/b"
    assert point.resolve("mine")("[1]") == [1]


def test_extension_point_names_the_closest_to_an_unknown_one(point: ExtensionPoint) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'join'"):
        point.resolve("jion")
    with pytest.raises(ConfigError, match="Choose one of join, mine"):
        point.resolve("zzz")


def test_extension_point_names_the_extra_that_is_missing() -> None:
    point = ExtensionPoint("nanoaccel.things", {"openvino": "no_such_module_at_all:load"})
    with pytest.raises(MissingExtraError, match=r"no_such_module_at_all.*nanoaccel\[openvino\]"):
        point.resolve("openvino")


def test_extension_point_takes_names_without_a_package(point: ExtensionPoint) -> None:
    point.add("split", "os.path:split")
    assert point.names() == ["join", "mine", "split"]
    assert point.resolve("split")("a/b") == ("a", "b")


def test_backends_say_what_they_are_before_their_runtime_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert list(BACKENDS.with_graphs()) == ["openvino", "onnx"]
    assert BACKENDS.packages() == ("openvino", "onnxruntime")
    assert BACKENDS.facts("torch").graph is None
    assert BACKENDS.facts("plugged in, without facts") == BackendFacts()
    plugin = EntryPoint("mine", f"{__name__}:MINE", "nanoaccel.backend_facts")

    def installed(group: str, name: str) -> EntryPoints:
        return EntryPoints([plugin]).select(group=group, name=name)

    monkeypatch.setattr(importlib.metadata, "entry_points", installed)
    assert BACKENDS.facts("mine").graph == "mine/graph"
