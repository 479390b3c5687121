"""A draft that does not fit its target is refused by name, before anything is loaded."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from support.fake_llms import BLOCK_BYTES, WatchedBackend, write_bundle
from support.heads import write_head
from support.paper import add_tokens, write_paper_bundle

from nanoaccel.bundle import Bundle
from nanoaccel.errors import BundleDamagedError, ConfigError
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.speculation.drafters import DrafterOptions, DraftOptions, opening


def options(target: Path, draft: Path | None) -> DrafterOptions:
    given = None
    if draft is not None:
        given = DraftOptions(folder=draft, target=Bundle.open(target), num_blocks=4)
    return DrafterOptions(vocab_size=32, draft=given)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A bundle made from weights that have the name "weights"."""
    return write_paper_bundle(tmp_path / "target", fingerprint="weights")


def test_opening_finds_out_what_runs_a_draft(tmp_path: Path, target: Path) -> None:
    assert opening.kind_of(write_head(tmp_path / "head")) == "head"
    assert opening.kind_of(target) == "draft_model"
    with pytest.raises(ConfigError, match=r"draft='.*none' is not a folder"):
        opening.kind_of(tmp_path / "none")


def test_opening_tells_the_memory_of_a_draft(tmp_path: Path, target: Path) -> None:
    assert opening.memory_of(write_head(tmp_path / "head", size=700)) == 1400
    assert opening.memory_of(target) == 10_000


def test_opening_refuses_a_head_for_another_target(tmp_path: Path, target: Path) -> None:
    draft = write_head(tmp_path / "head", target="others")
    with pytest.raises(ConfigError, match="is a head for another target") as refused:
        opening.open_head(options(target, draft), 8)
    assert "trained for the weights others" in str(refused.value)
    assert "has weights" in str(refused.value)


def test_opening_refuses_a_head_where_the_target_has_no_name(tmp_path: Path) -> None:
    nameless = write_paper_bundle(tmp_path / "nameless", fingerprint=None)
    with pytest.raises(ConfigError, match="does not say which weights it was made from"):
        opening.open_head(options(nameless, write_head(tmp_path / "head")), 8)


def test_opening_refuses_a_damaged_head(tmp_path: Path, target: Path) -> None:
    draft = write_head(tmp_path / "head")
    (draft / "head.bin").unlink()
    with pytest.raises(BundleDamagedError, match=r"head\.bin is missing"):
        opening.open_head(options(target, draft), 8)


def test_opening_refuses_a_draft_with_another_tokenizer(tmp_path: Path, target: Path) -> None:
    draft = write_paper_bundle(tmp_path / "draft", more_tokens=["more"])
    with pytest.raises(ConfigError, match="has another tokenizer than"):
        opening.open_draft_model(options(target, draft))


@pytest.mark.parametrize("kind", ["head", "draft_model"])
def test_opening_refuses_a_draft_that_does_not_fit_in_memory(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(opening, "free_memory", lambda: 1999)
    head = write_head(tmp_path / "head", size=1000)
    draft, load = (
        (head, partial(opening.open_head, window=8))
        if kind == "head"
        else (write_paper_bundle(tmp_path / "draft"), opening.open_draft_model)
    )
    with pytest.raises(ConfigError, match=r"needs about \d+ bytes of memory, 1999 are free"):
        load(options(target, draft))


def test_opening_takes_a_draft_that_just_fits_in_memory(
    folder: Path, tmp_path: Path, backends: list[WatchedBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "free_memory", lambda: 4 * BLOCK_BYTES)
    opening.open_draft_model(options(folder, write_bundle(tmp_path / "draft", graph=""))).close()
    assert [backend.closings for backend in backends] == [1]


def test_opening_refuses_a_draft_whose_cache_does_not_fit_in_memory(
    tmp_path: Path,
    folder: Path,
    backends: list[WatchedBackend],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "free_memory", lambda: 4 * BLOCK_BYTES - 1)
    draft = write_bundle(tmp_path / "draft", graph="")
    with pytest.raises(ConfigError, match=r"the cache of the draft .* needs about 128 bytes"):
        opening.open_draft_model(options(folder, draft))
    assert [backend.closings for backend in backends] == [1]


def test_opening_refuses_a_drafter_without_its_draft(tmp_path: Path, target: Path) -> None:
    with pytest.raises(ConfigError, match="speculation='head' needs a draft"):
        opening.open_head(options(target, None), 8)
    with pytest.raises(ConfigError, match="it is for 'draft_model'"):
        opening.open_head(options(target, target), 8)
    with pytest.raises(ConfigError, match="it is for 'head'"):
        opening.open_draft_model(options(target, write_head(tmp_path / "head")))


def test_llm_runs_a_draft_model_beside_its_own(
    folder: Path, backends: list[WatchedBackend], tmp_path: Path
) -> None:
    draft = write_bundle(tmp_path / "draft")
    with LLM(folder, draft=draft, speculation="draft_model") as llm:
        assert llm.generate("abc", SamplingParams(max_tokens=20)).usage.completion_tokens > 0
    assert len(backends) == 2
    assert [backend.closings for backend in backends] == [1, 1]


def test_llm_takes_the_draft_of_its_bundle(folder: Path, backends: list[WatchedBackend]) -> None:
    write_bundle(folder / "draft")
    with LLM(folder):
        assert len(backends) == 2
    with LLM(folder, speculation="ngram"):
        assert len(backends) == 3


def test_llm_closes_its_graph_when_the_draft_does_not_fit(
    folder: Path, backends: list[WatchedBackend], tmp_path: Path
) -> None:
    draft = write_bundle(tmp_path / "draft")
    add_tokens(draft, ["more"])
    with pytest.raises(ConfigError, match="has another tokenizer"):
        LLM(folder, draft=draft)
    assert [backend.closings for backend in backends] == [1]
