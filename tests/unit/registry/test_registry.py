from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Protocol

import pytest
from support.plugins import Install

from nanoaccel.errors import ConfigError, MissingExtraError, PluginError
from nanoaccel.registry import (
    BACKENDS,
    POINTS,
    BackendFacts,
    ExtensionPoint,
    disable_plugins,
)
from nanoaccel.registry.inspection import inspect_plugins

SOURCE = """
class Good:
    def run(self): return "ran"
    def extra(self): ...
class Lacks: ...
def function(): return Good()
def number(): return 7
"""


class Thing(Protocol):
    def run(self) -> str: ...


class ThingFactory(Protocol):
    def __call__(self) -> Thing: ...

    def extra(self) -> None: ...


@pytest.fixture
def point() -> ExtensionPoint:
    return ExtensionPoint(
        "things",
        version=2,
        interface=f"{__name__}:ThingFactory",
        makes=f"{__name__}:Thing",
        capabilities=("extra",),
        builtin={"join": "os.path:join"},
    )


@pytest.fixture
def install(install_plugin: Install) -> Install:
    """Installs packages whose module is ``SOURCE``."""

    def add(name: str, groups: dict[str, dict[str, str]], source: str = SOURCE) -> None:
        install_plugin(name, groups, source)

    return add


def test_extension_point_resolves_built_in_and_plugged_in_names(
    point: ExtensionPoint, install: Install
) -> None:
    install("one", {"things.v2": {"mine": "Good", "made": "function"}})
    assert point.names() == ["join", "made", "mine"]
    assert point.resolve("join")("a", "b") == "a/b"
    assert point.resolve("mine")().run() == "ran"
    assert point.resolve("made")().run() == "ran"


def test_extension_point_names_the_closest_to_an_unknown_one(
    point: ExtensionPoint, install: Install
) -> None:
    install("one", {"things.v2": {"mine": "Good"}})
    with pytest.raises(ConfigError, match=r"there is no thing 'jion'. Did you mean 'join'"):
        point.resolve("jion")
    with pytest.raises(ConfigError, match="Choose one of join, mine"):
        point.resolve("zzz")


def test_extension_point_names_the_extra_that_is_missing(point: ExtensionPoint) -> None:
    point.add("openvino", "no_such_module_at_all:load")
    with pytest.raises(MissingExtraError, match=r"no_such_module_at_all.*nanoaccel\[openvino\]"):
        point.resolve("openvino")


def test_extension_point_takes_names_without_a_package(point: ExtensionPoint) -> None:
    point.add("split", "os.path:split")
    assert point.names() == ["join", "split"]
    assert point.resolve("split")("a/b") == ("a", "b")


@pytest.mark.parametrize(
    ("group", "name", "target", "reason"),
    [
        ("things.v1", "old", "Good", "it is for version 1 of the interface, this is 2"),
        ("things.v3", "new", "Good", "it is for version 3 of the interface, this is 2"),
        ("things", "bare", "Good", "its group names no version of the interface"),
        ("things.v2", "gone", "no_such_module:x", "No module named 'no_such_module'"),
        ("things.v2", "absent", "Absent", "no attribute 'Absent'"),
        ("things.v2", "lacks", "Lacks", "it lacks run of Thing"),
        ("things.v2", "text", "__name__", "cannot be called"),
    ],
)
def test_plugin_that_does_not_fit_is_refused_by_name(
    group: str, name: str, target: str, reason: str, point: ExtensionPoint, install: Install
) -> None:
    install("one", {group: {name: target}})
    with pytest.raises(PluginError, match=rf"thing '{name}' of one 1.0 .*{reason}"):
        point.resolve(name)
    assert [found for found, _ in point.usable()] == ["join"]
    assert name not in point.names()


def test_plugin_that_is_of_two_versions_is_taken_in_the_right_one(
    point: ExtensionPoint, install: Install
) -> None:
    install("one", {"things.v1": {"mine": "Lacks"}, "things.v2": {"mine": "Good"}})
    assert point.resolve("mine")().run() == "ran"


def test_plugin_that_exits_on_import_is_switched_off_with_one_line(
    point: ExtensionPoint, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("one", {"things.v2": {"mine": "Good"}}, "raise SystemExit(3)")
    with caplog.at_level(logging.WARNING, "nanoaccel.plugins"):
        for _ in range(2):
            assert [name for name, _ in point.usable()] == ["join"]
    (record,) = caplog.records
    assert record.getMessage() == (
        "thing 'mine' of one 1.0 cannot be used: SystemExit: 3. "
        "It is switched off until the process ends"
    )
    with pytest.raises(PluginError, match="it failed with"):
        point.resolve("mine")


def test_guard_switches_a_plugin_off_and_lets_errors_of_ours_pass(
    point: ExtensionPoint, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("one", {"things.v2": {"mine": "Good"}})
    with point.guard("mine"):
        raise ValueError("two\nlines")
    assert "thing 'mine' failed with ValueError: two lines" in caplog.text
    assert point.names() == ["join"]
    with pytest.raises(ValueError, match="ours"), point.guard("join"):
        raise ValueError("ours")
    failed = pytest.raises(PluginError, match="thing 'mine' failed with ValueError: no")
    with failed, point.named("mine"):
        raise ValueError("no")


def test_what_a_plugin_made_is_checked(point: ExtensionPoint, install: Install) -> None:
    install("one", {"things.v2": {"mine": "number"}})
    with pytest.raises(TypeError, match="it lacks run of Thing"):
        point.check_made("mine", point.resolve("mine")())
    point.check_made("join", 7)


def test_built_in_parts_are_not_replaced_and_of_two_plugins_the_first_counts(
    point: ExtensionPoint, install: Install
) -> None:
    install("two", {"things.v2": {"mine": "Good", "join": "Good"}}, "class Good: ...")
    install("one", {"things.v2": {"mine": "Good"}})
    assert point.resolve("join")("a", "b") == "a/b"
    assert point.resolve("mine").__module__ == "one"
    refusals = {(p.name, p.package): point.refusal(p) for p in point.plugins()}
    assert refusals == {
        ("mine", "one 1.0"): None,
        ("join", "two 1.0"): "'join' is built in",
        ("mine", "two 1.0"): "another package offers the same name",
    }


@pytest.mark.parametrize("name", ["mine", "things/mine", "one"])
def test_disabled_plugin_is_not_imported(
    name: str, point: ExtensionPoint, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANOACCEL_DISABLE", "")
    install("one", {"things.v2": {"mine": "Good"}}, "raise RuntimeError")
    disable_plugins([name])
    assert point.names() == ["join"]
    with pytest.raises(PluginError, match="is not used: disabled"):
        point.resolve("mine")


def test_disabling_an_unknown_name_is_refused(install: Install) -> None:
    install("one", {"drafters.v1": {"mine": "Good"}})
    with pytest.raises(ConfigError, match=r"no plugin 'mein' to disable. Did you mean 'mine'"):
        disable_plugins(["mein"])


def test_config_file_disables(
    point: ExtensionPoint, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("one", {"things.v2": {"mine": "Good"}})
    file = tmp_path / "nanoaccel.toml"
    file.write_text('disable = ["things/mine"]')
    monkeypatch.setenv("NANOACCEL_CONFIG", str(file))
    assert point.names() == ["join"]
    monkeypatch.setenv("NANOACCEL_DISABLE", "")
    assert point.names() == ["join", "mine"]


def test_inspection_says_what_is_installed_and_whether_it_loads(install: Install) -> None:
    source = "class P:\n def priority(self, uses, depth): ...\n def evicted(self, priority): ..."
    install("one", {"eviction_policies.v1": {"mine": "P"}, "backend_facts.v1": {"b": "P"}}, source)
    install("two", {"eviction_policies.v9": {"mine": "P"}, "gadgets.v1": {"x": "P"}}, source)
    install("three", {"drafters.v1": {"bad": "no_such_module:x"}}, source)
    found = {(p.kind, p.name, p.package): p for p in inspect_plugins()}
    good = found["eviction_policies", "mine", "one 1.0"]
    assert (good.interface, good.problem) == (1, None)
    assert good.seconds is not None
    assert found["backend_facts", "b", "one 1.0"].problem is None
    refused = found["eviction_policies", "mine", "two 1.0"]
    assert (refused.interface, refused.seconds) == (9, None)
    assert "version 9" in str(refused.problem)
    assert "there are only backends, " in str(found["gadgets", "x", "two 1.0"].problem)
    bad = found["drafters", "bad", "three 1.0"]
    assert bad.seconds is not None
    assert "no_such_module" in str(bad.problem)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.kind)
def test_points_name_their_protocols_and_hold_built_in_parts_to_them(point: Any) -> None:
    from nanoaccel.registry.extension_point import check

    for name in point.names():
        if not name.startswith("torch"):
            found = point.resolve(name)
            check(found, point.interface, point.capabilities)
            if isinstance(found, type) and point.makes is not None:
                check(found, point.makes, point.capabilities)


def test_backends_say_what_they_are_before_their_runtime_is_imported(install: Install) -> None:
    assert list(BACKENDS.with_graphs()) == ["openvino", "onnx"]
    assert BACKENDS.packages() == ("openvino", "onnxruntime")
    assert BACKENDS.facts("torch").graph is None
    assert BACKENDS.facts("plugged in, without facts") == BackendFacts()
    source = "from nanoaccel.registry import BackendFacts\nF = BackendFacts(graph='mine/graph')"
    groups = {"backends.v1": {"mine": "F"}, "backend_facts.v1": {"mine": "F"}}
    install("one", groups, source)
    assert BACKENDS.facts("mine").graph == "mine/graph"
