"""With NanoAccel's operators, all that an LLM tells is the same bits in any schedule.

NANOACCEL_SCHEDULES=10000 plays so many on each path; a few otherwise.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanoaccel import LLM
from nanoaccel.registry import DRAFTERS
from nanoaccel.runtime.engine import assembly
from nanoaccel.runtime.native import find_operators
from nanoaccel.runtime.native.library import ISA, REFERENCE
from nanoaccel.testing import tiny_models
from nanoaccel.testing.drafters import Always
from nanoaccel.testing.schedules import (
    ADVERSARY,
    CACHES,
    Coverage,
    Setup,
    Written,
    known,
    make_asks,
    play,
    write_alone,
)

pytest.importorskip("torch")

OPERATORS = find_operators()
pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason),
]
SCHEDULES = int(os.environ.get("NANOACCEL_SCHEDULES", "60"))
MODELS = 2  # that share them
EACH = 5  # schedules of a setup: those behind the first find a cache
ASKS = make_asks(40)


@pytest.fixture(scope="module", params=["llama", "longrope"])
def bundle(
    request: pytest.FixtureRequest,
    tiny_int4_bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A model, or one whose texts become others where they are long."""
    if request.param == "llama":
        return tiny_int4_bundle
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.quantize.recipe import Recipe

    folder = tmp_path_factory.mktemp("longrope")
    source = tiny_models.write_model(folder / "model", "phi3", **tiny_models.LONGROPE)
    recipe = Recipe(weights="int4", group_size=32)
    export(source, folder / "bundle", recipe=recipe, judge_tokens=512, runtime="onnx")
    return folder / "bundle"


@pytest.fixture(scope="module")
def alone(bundle: Path) -> dict[str, list[list[Written]]]:
    """What the scalar reference gives, one request at a time, by type of the cache."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ISA, REFERENCE)
        for cache in CACHES:
            plain = {"speculation": "off", "prefix_cache": False, "tuned": False}
            with LLM(bundle, cache_precision=cache, **plain) as llm:
                assert llm.backend.batch_invariant
                found[cache] = write_alone(llm, ASKS)
    return found


@pytest.fixture
def adversary(
    alone: dict[str, list[list[Written]]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The drafter by its name, and a controller that has all guesses checked."""
    monkeypatch.setitem(DRAFTERS._builtin, ADVERSARY, "nanoaccel.testing.schedules:Adversary")
    monkeypatch.setattr(assembly, "Controller", lambda _, pad: Always(pad))
    for ask, written in zip(ASKS, alone[CACHES[0]], strict=True):
        known.texts[ask.prompt] = written[0].token_ids
    yield
    known.texts.clear()


@pytest.mark.parametrize("path", OPERATORS.paths)
def test_llm_tells_the_same_bits_in_any_schedule(
    path: str,
    bundle: Path,
    alone: dict[str, list[list[Written]]],
    adversary: None,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ISA, path)
    sizes = {cache: block_bytes(bundle, cache) for cache in CACHES}
    went_through = Coverage()
    for number in range(-(-SCHEDULES // EACH // MODELS)):
        dice = random.Random(number)
        setup = Setup.draw(dice, tmp_path)
        cache = setup.options["cache_precision"]
        with setup.open(bundle, sizes[cache]) as llm:
            for schedule in range(EACH):
                chosen = dice.choices(range(len(ASKS)), k=dice.randint(1, 8))
                played = play(llm, [ASKS[index] for index in chosen], dice)
                for index, completions in zip(chosen, played, strict=True):
                    for written, wanted in zip(completions, alone[cache][index], strict=True):
                        assert written.begins(wanted), (number, schedule, index, setup)
            went_through.add(llm.counters())
    assert (
        min(
            went_through.preemptions,
            went_through.hit_tokens,
            went_through.restored_tokens,
            went_through.accepted,
            went_through.rejected,
            went_through.cancelled,
        )
        > 0
    ), went_through


def block_bytes(bundle: Path, cache: str) -> int:
    with LLM(bundle, cache_precision=cache, speculation="off", tuned=False) as llm:
        return llm.backend.bytes_per_block
