"""Names of adapters, and whether what they stand for belongs to the model."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from support.adapters import note_base, write_adapter
from support.fake_llms import write_bundle
from support.paper import write_paper_bundle

from nanoaccel.bundle import Bundle
from nanoaccel.bundle.adapters import put_adapter
from nanoaccel.errors import AdapterError, ConfigError, RequestError
from nanoaccel.runtime.adapters.registry import AdapterRegistry
from nanoaccel.runtime.backends.fake import FakeBackend

ADAPTABLE = FakeBackend.adaptable


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    return AdapterRegistry(Bundle.open(write_bundle(tmp_path / "bundle")), ADAPTABLE, "fake")


def test_registry_finds_what_was_added(registry: AdapterRegistry, tmp_path: Path) -> None:
    registry.add("sql", write_adapter(tmp_path / "a", 1))
    found = registry.find("sql")
    assert (found.name, found.folder) == ("sql", tmp_path / "a")
    assert list(registry.load(found)) == list(ADAPTABLE)
    registry.remove("sql")
    assert registry.all() == ()
    with pytest.raises(ConfigError, match="there is no adapter 'sql'"):
        registry.remove("sql")


def test_registry_names_the_closest(registry: AdapterRegistry, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="has none; add it first"):
        registry.find("sql")
    registry.add("sql-writer", write_adapter(tmp_path / "a"))
    with pytest.raises(RequestError, match="Did you mean 'sql-writer'"):
        registry.find("sql-writr")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a/b", "..", ".a", "ä"])
def test_registry_refuses_what_is_no_name(
    registry: AdapterRegistry, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigError, match="is no name for an adapter"):
        registry.add(name, write_adapter(tmp_path / "a"))


def test_registry_refuses_a_second_of_one_name(registry: AdapterRegistry, tmp_path: Path) -> None:
    registry.add("a", write_adapter(tmp_path / "a"))
    with pytest.raises(ConfigError, match="there is an adapter 'a' already"):
        registry.add("a", tmp_path / "a")


def test_registry_checks_adapters_as_they_are_added(
    registry: AdapterRegistry, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "a", shapes={"model.layers.0.q_proj": (4, 2)})
    with pytest.raises(AdapterError, match="4 x 2; this model's has 4 x 3"):
        registry.add("a", folder)
    assert registry.all() == ()


def test_registry_notices_an_adapter_that_has_changed(
    registry: AdapterRegistry, tmp_path: Path
) -> None:
    registry.add("a", write_adapter(tmp_path / "a", 1))
    write_adapter(tmp_path / "a", 2)
    with pytest.raises(AdapterError, match="has changed since it became the adapter 'a'"):
        registry.load(registry.find("a"))


@pytest.mark.parametrize("adaptable", [None, {}])
def test_registry_of_a_backend_without_adapters_says_what_to_do(
    tmp_path: Path, adaptable: dict[str, tuple[int, int]] | None
) -> None:
    bundle = write_paper_bundle(tmp_path / "bundle")
    folder = write_adapter(tmp_path / "a")
    put_adapter(bundle, "a", folder)
    registry = AdapterRegistry(Bundle.open(bundle), adaptable, "slots")
    for fails in (lambda: registry.add("b", folder), lambda: registry.add_all({})):
        with pytest.raises(ConfigError, match=r"'slots', as it was opened, computes no adapters"):
            fails()
    registry.add_all(None)
    with pytest.raises(RequestError, match="nanoaccel merge"):
        registry.find("a")


@pytest.mark.parametrize(
    ("graph", "cause"),
    [
        ("<net/>", "does not tell what its compression did to matrices"),
        ("<net><folded_scales/></net>", "'openvino', as it was opened, computes no adapters"),
    ],
)
def test_registry_names_what_a_graph_lacks(tmp_path: Path, graph: str, cause: str) -> None:
    bundle = Bundle.open(write_bundle(tmp_path / "bundle", graph))
    registry = AdapterRegistry(bundle, {}, "openvino")
    with pytest.raises(ConfigError, match=cause):
        registry.check_able()


def test_registry_offers_those_of_the_bundle(tmp_path: Path) -> None:
    bundle = write_paper_bundle(tmp_path / "bundle")
    folder = write_adapter(tmp_path / "a", 3)
    put_adapter(bundle, "mine", folder)
    registry = AdapterRegistry(Bundle.open(bundle), ADAPTABLE, "fake")
    (found,) = registry.all()
    registry.add("given", folder)
    assert found.fingerprint == registry.find("given").fingerprint
    assert list(registry.load(found)) == list(ADAPTABLE)


def test_registry_refuses_an_adapter_of_other_weights(tmp_path: Path) -> None:
    bundle = Bundle.open(write_paper_bundle(tmp_path / "bundle", fingerprint="aa"))
    registry = AdapterRegistry(bundle, ADAPTABLE, "fake")
    folder = write_adapter(tmp_path / "a")
    note_base(folder, "org/model", "aa")
    registry.add("own", folder)
    note_base(folder, "org/model-2", "bb")
    with pytest.raises(AdapterError, match="was trained on 'org/model-2', whose weights are not"):
        registry.add("other", folder)


@pytest.mark.parametrize(
    ("base", "warns"),
    [("org/model", False), ("someone/Model", False), ("org/model-chat", True), (None, False)],
)
def test_registry_warns_where_only_names_differ(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, base: str | None, warns: bool
) -> None:
    bundle = Bundle.open(write_paper_bundle(tmp_path / "bundle", fingerprint="aa"))
    registry = AdapterRegistry(bundle, ADAPTABLE, "fake")
    folder = write_adapter(tmp_path / "a", base_model_name_or_path=base)
    with caplog.at_level(logging.WARNING):
        registry.add("a", folder)
        registry.load(registry.find("a"))
    assert len(caplog.records) == warns
