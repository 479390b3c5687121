"""Each registered drafter says whether it takes part, and what it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.heads import write_head
from support.paper import write_paper_bundle

from nanoaccel.bundle import Bundle, Head
from nanoaccel.errors import ConfigError, MissingExtraError
from nanoaccel.registry import DRAFTERS
from nanoaccel.runtime.speculation.drafters import DrafterContext
from nanoaccel.runtime.speculation.drafters.selection import layers_to_read, select_drafters


class Plugged:
    """What a package registers.

    Args:
        applies: Whether it takes part.
        layers: What it reads.
    """

    def __init__(self, *, applies: bool = True, layers: tuple[int, ...] = ()) -> None:
        self._applies, self._layers = applies, layers

    def applies(self, _: DrafterContext) -> bool:
        return self._applies

    def hidden_layers(self, _: DrafterContext) -> tuple[int, ...]:
        return self._layers


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is registered beside the built-in drafters, by name; an error is raised."""
    found: dict[str, Any] = {}
    names, resolve = DRAFTERS.names(), DRAFTERS.resolve

    def resolve_any(name: str) -> Any:
        if isinstance(found.get(name), Exception):
            raise found[name]
        return found[name] if name in found else resolve(name)

    monkeypatch.setattr(DRAFTERS, "names", lambda: [*names, *found])
    monkeypatch.setattr(DRAFTERS, "resolve", resolve_any)
    return found


@pytest.fixture
def target(tmp_path: Path) -> Bundle:
    return Bundle.open(write_paper_bundle(tmp_path / "target"))


def test_auto_takes_the_built_in_drafters_that_apply(tmp_path: Path, target: Bundle) -> None:
    head = write_head(tmp_path / "head")
    for draft, names in (
        (None, {"ngram"}),
        (head, {"ngram", "head"}),
        (target.folder, {"ngram", "draft_model"}),
    ):
        assert set(select_drafters("auto", DrafterContext(target=target, draft=draft))) == names
    with pytest.raises(ConfigError, match="is not a folder"):
        select_drafters("auto", DrafterContext(target=target, draft=tmp_path / "none"))


def test_auto_takes_a_plugged_in_drafter_that_applies(
    target: Bundle, plugged: dict[str, Any]
) -> None:
    plugged["mine"], plugged["other"] = Plugged(), Plugged(applies=False)
    plugged["silent"] = lambda _: None
    plugged["bare"] = MissingExtraError("bare needs something", "Install it")
    context = DrafterContext(target=target, draft=None)
    assert set(select_drafters("auto", context)) == {"mine", "ngram"}
    assert select_drafters("other", context) == {"other": plugged["other"]}
    assert select_drafters("off", context) == {}
    with pytest.raises(MissingExtraError, match="bare needs something"):
        select_drafters("bare", context)


def test_drafters_say_which_layers_they_read(
    tmp_path: Path, target: Bundle, plugged: dict[str, Any]
) -> None:
    folder = write_head(tmp_path / "head")
    context = DrafterContext(target=target, draft=folder)
    layers = Head.open(folder).manifest.layers
    assert layers
    assert layers_to_read("auto", context) == layers_to_read("head", context) == layers
    assert layers_to_read("ngram", context) == ()
    plugged["mine"] = Plugged(layers=layers)
    assert layers_to_read("auto", context) == layers
    plugged["mine"] = Plugged(layers=(*layers, 99))
    with pytest.raises(ConfigError, match="head, mine read different layers"):
        layers_to_read("auto", context)
