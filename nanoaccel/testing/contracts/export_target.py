"""What every export target promises: a graph that the engine runs, or an error in words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.bundle import Bundle
from nanoaccel.errors import NanoAccelError
from nanoaccel.exporters.quantize.recipe import Recipe
from nanoaccel.exporters.targets.base import GraphTarget, GraphTargetFactory
from nanoaccel.exporters.targets.plugged import guarded
from nanoaccel.registry import EXPORT_TARGETS
from nanoaccel.registry.extension_point import check

CONTRACT = "export_target"
RECIPES = (Recipe(weights="f32"), Recipe(), Recipe(weights="int8"), Recipe(weights="nf4"))
_MOST = 64  # bytes for each weight


def check_facts(subject: GraphTargetFactory) -> GraphTarget:
    """Check what a target says of itself; it is given back."""
    assert EXPORT_TARGETS.makes is not None
    check(subject, EXPORT_TARGETS.interface, ())
    target = subject()
    assert isinstance(target, GraphTarget)
    assert isinstance(target.name, str)
    assert isinstance(target.title, str)
    guarded(target.name, target)
    for names in (target.packages, target.tools):
        assert isinstance(names, tuple)
        assert all(isinstance(name, str) for name in names)
    assert target.fixed_memory >= 0
    assert target.memory_per_weight >= 0
    for loaded in (2, 4):
        assert 0 <= target.disk_bytes(loaded) <= _MOST
    for recipe in RECIPES:
        refused_in_words(partial(target.check_recipe, recipe))
    return target


def refused_in_words(call: Callable[[], object]) -> None:
    """Call something that may refuse, but not fail."""
    with suppress(NanoAccelError):
        call()


@pytest.fixture(scope="module")
def exported(subject: GraphTargetFactory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a tiny model for the target, whose facts are right."""
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.testing.tiny_models import write_model

    name = check_facts(subject).name
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        make = EXPORT_TARGETS.make
        patch.setattr(
            EXPORT_TARGETS, "make", lambda asked: subject() if asked == name else make(asked)
        )
        patch.setattr(EXPORT_TARGETS, "plugins_named", lambda asked: [asked] * (asked == name))
        model = write_model(folder / "model")
        export(model, folder / "bundle", recipe=Recipe(weights="f32"), runtime=name)
    return folder / "bundle"


class TestExportTarget:
    """The suite; ``subject`` makes the target, and the backend of its name is installed."""

    def test_it_has_what_the_interface_says(self, subject: GraphTargetFactory) -> None:
        check_facts(subject)

    def test_bundle_is_whole_and_has_its_graph(
        self, subject: GraphTargetFactory, exported: Path
    ) -> None:
        bundle = Bundle.open(exported)
        bundle.verify()
        assert subject().name in bundle.runtimes

    def test_engine_runs_it(self, subject: GraphTargetFactory, exported: Path) -> None:
        from nanoaccel import LLM, SamplingParams

        params: Any = SamplingParams(max_tokens=4, temperature=0)
        with LLM(exported, backend=subject().name) as llm:
            assert llm.generate([1, 5, 9], params).token_ids
