"""What a request is told before its first token."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.disk_tiers import wait_until
from support.fake_llms import WatchedBackend, write_bundle

from nanoaccel import registry
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.engine import assembly as loading
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.types.outputs import Chunk, Progress

ASKS = RequestOptions(progress=True)
ONE = SamplingParams(max_tokens=1, ignore_eos=True)


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[WatchedBackend]:
    opened: list[WatchedBackend] = []

    def load(options: BackendOptions) -> WatchedBackend:
        opened.append(WatchedBackend(options))
        return opened[-1]

    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: load)
    monkeypatch.setattr(loading, "measure_verification", lambda *_, **__: None)
    return opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "letters")


def told(chunks: list[Chunk]) -> list[Progress]:
    return [chunk.progress for chunk in chunks if chunk.progress is not None]


@pytest.mark.usefixtures("backends")
def test_prompt_in_chunks_tells_each(folder: Path) -> None:
    with LLM(folder, max_step_tokens=16, speculation="off") as llm:
        chunks = list(llm.stream("a" * 40, ONE, ASKS))
    assert [each.processed for each in told(chunks)] == [0, 16, 32, 40]
    assert {(each.total, each.place) for each in told(chunks)} == {(40, 0)}
    assert [bool(chunk.token_ids) for chunk in chunks] == [False] * 4 + [True]


@pytest.mark.usefixtures("backends")
def test_cached_prompt_begins_behind_what_is_known(folder: Path) -> None:
    with LLM(folder, max_step_tokens=16, speculation="off") as llm:
        llm.generate("a" * 40, ONE)
        chunks = list(llm.stream("a" * 40, ONE, ASKS))
    first = told(chunks)[0]
    assert first.processed == first.cached > 0


@pytest.mark.usefixtures("backends")
def test_nothing_is_told_unasked(folder: Path) -> None:
    kinds: list[str] = []
    with LLM(folder, on_event=lambda event: kinds.append(event.kind)) as llm:
        assert told(list(llm.stream("a" * 40, ONE))) == []
        list(llm.stream("a", ONE, ASKS))
    assert kinds == ["started", "finished", "started", "progress", "progress", "finished"]


def test_waiting_request_is_told_its_place(folder: Path, backends: list[WatchedBackend]) -> None:
    many = SamplingParams(max_tokens=40, ignore_eos=True)
    with LLM(folder, max_running=1, speculation="off") as llm:
        backends[0].hold()
        streams = [llm.stream("a", many)]
        backends[0].wait_until_held()
        streams += [llm.stream("a", ONE, ASKS) for _ in range(2)]
        wait_until(lambda: llm.counters().waiting == 2, "two that wait")
        backends[0].go_on()
        assert list(streams[0])[-1].finish_reason == "length"
        second, third = (told(list(stream)) for stream in streams[1:])
    assert (second[0].place, second[0].waiting) == (1, 2)
    assert (third[0].place, third[0].waiting) == (2, 2)
    assert third[-1].place == 0
