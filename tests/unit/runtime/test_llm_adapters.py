"""Adapters of an ``LLM``: given, in the bundle, coming and going while it runs."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from support.adapters import write_adapter
from support.disk_tiers import wait_until
from support.fake_llms import WatchedBackend, wait_until_idle
from support.paper import write_paper_bundle

from nanoaccel.bundle.adapters import put_adapter
from nanoaccel.errors import AdapterError, ConfigError, RequestError
from nanoaccel.runtime.async_llm import AsyncLLM
from nanoaccel.runtime.backends.fake import FakeBackend
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions

SHORT = SamplingParams(max_tokens=5, ignore_eos=True)


def using(name: str | None) -> RequestOptions:
    return RequestOptions(adapter=name)


def test_llm_answers_with_the_adapter_that_a_request_names(folder: Path, tmp_path: Path) -> None:
    given = {name: write_adapter(tmp_path / name, seed) for seed, name in enumerate("abc")}
    with LLM(folder, adapters=given) as llm:
        assert dict(llm.adapters) == given
        names = [None, "a", "b", "c"]
        alone = [llm.generate("abc", SHORT, using(name)).token_ids for name in names]
        assert len(set(alone)) == 4
        together = llm.generate(["abc"] * 8, SHORT, [using(name) for name in names * 2])
        assert [output.token_ids for output in together] == alone * 2
        wait_until_idle(llm)
        assert llm.counters().adapters.loads == 3


def test_llm_offers_the_adapters_of_its_bundle(
    tmp_path: Path,
    backends: list[WatchedBackend],  # noqa: ARG001 - opens it
) -> None:
    bundle = write_paper_bundle(tmp_path / "bundle")
    put_adapter(bundle, "mine", write_adapter(tmp_path / "a"))
    with LLM(bundle) as llm:
        assert list(llm.adapters) == ["mine"]
        plain, adapted = (llm.generate("abc", SHORT, using(name)) for name in (None, "mine"))
        assert plain.token_ids != adapted.token_ids


def test_llm_adapters_come_and_go_while_it_runs(folder: Path, tmp_path: Path) -> None:
    first, second = (write_adapter(tmp_path / name, seed) for seed, name in enumerate("ab"))
    with LLM(folder, adapters={}) as llm:
        llm.adapters.add("x", first)
        texts = [llm.generate("abcdefgh", SHORT, using("x")).token_ids]
        llm.adapters.remove("x")
        with pytest.raises(RequestError, match="there is no adapter 'x'"):
            llm.generate("abc", SHORT, using("x"))
        llm.adapters.add("x", str(second))
        output = llm.generate("abcdefgh", SHORT, using("x"))
        texts.append(output.token_ids)
        assert output.stats.cached_tokens == 0  # nothing of the old one was found
        assert len(set(texts)) == 2


def test_llm_frees_an_adapter_that_is_removed_when_its_last_request_ends(
    folder: Path, tmp_path: Path, backends: list[WatchedBackend]
) -> None:
    given = {"a": write_adapter(tmp_path / "a")}
    with LLM(folder, adapters=given) as llm:
        expected = llm.generate("abc", SHORT, using("a")).token_ids
        backends[0].hold()
        found: list[tuple[int, ...]] = []

        def run() -> None:
            found.append(llm.generate("abc", SHORT, using("a")).token_ids)

        thread = threading.Thread(target=run)
        thread.start()
        backends[0].wait_until_held()
        llm.adapters.remove("a")
        assert backends[0]._adapters
        backends[0].go_on()
        thread.join()
        assert found == [expected]
        wait_until(lambda: not backends[0]._adapters, "an adapter that is unloaded")


def test_llm_holds_as_many_adapters_as_it_may(
    folder: Path, tmp_path: Path, backends: list[WatchedBackend]
) -> None:
    given = {f"n{seed}": write_adapter(tmp_path / f"n{seed}", seed) for seed in range(12)}
    with LLM(folder, adapters=given, max_loaded_adapters=2) as llm:
        asked = [using(name) for name in given] * 2
        together = llm.generate(["abc"] * len(asked), SHORT, asked)
        assert [output.finish_reason for output in together] == ["length"] * 24
        assert [one.token_ids for one in together[:12]] == [one.token_ids for one in together[12:]]
        assert len(backends[0]._adapters) <= 2
        assert llm.counters().adapters.loaded <= 2


def test_llm_sleeps_while_nothing_but_an_adapter_is_awaited(
    folder: Path, tmp_path: Path, backends: list[WatchedBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    load = FakeBackend.load_adapter

    def late(self: FakeBackend, *given: object) -> None:
        assert go_on.wait(20)
        load(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(FakeBackend, "load_adapter", late)
    with LLM(folder, adapters={"a": write_adapter(tmp_path / "a")}) as llm:
        with llm.stream("abc", SHORT, using("a")) as waits:
            passes = llm.generate("abc", SHORT)  # goes on meanwhile
            assert passes.finish_reason == "length"
            steps = llm.counters().steps
            assert backends[0].passes > 0
            go_on.set()
            assert [*waits][-1].finish_reason == "length"
        assert llm.counters().steps > steps


def test_llm_ends_a_request_whose_adapter_is_gone(folder: Path, tmp_path: Path) -> None:
    given = {"a": write_adapter(tmp_path / "a"), "b": write_adapter(tmp_path / "b", 1)}
    with LLM(folder, adapters=given) as llm:
        (tmp_path / "a" / "adapter_model.safetensors").unlink()
        bad, good = llm.generate(["abc"] * 2, SHORT, [using("a"), using("b")])
        assert (bad.finish_reason, good.finish_reason) == ("error", "length")
        assert "has no adapter_model.safetensors" in str(bad.error)
        write_adapter(tmp_path / "a")
        assert llm.generate("abc", SHORT, using("a")).finish_reason == "length"


def test_llm_refuses_adapters_that_it_cannot_have(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"has no adapter_config\.json"):
        LLM(folder, adapters={"a": tmp_path})
    with pytest.raises(ConfigError, match="is not a dict"):
        LLM(folder, adapters=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="max_loaded_adapters=0"):
        LLM(folder, max_loaded_adapters=0)
    with LLM(folder) as llm, pytest.raises(RequestError, match="there is no adapter 'a'"):
        llm.generate("abc", SHORT, using("a"))


def test_async_llm_has_the_same_adapters(folder: Path, tmp_path: Path) -> None:
    async def run() -> tuple[str | None, list[str]]:
        async with AsyncLLM(folder, adapters={"a": write_adapter(tmp_path / "a")}) as llm:
            output = await llm.generate("abc", SHORT, using("a"))
            return output.finish_reason, list(llm.adapters)

    assert asyncio.run(run()) == ("length", ["a"])


def test_embeddings_are_those_of_the_adapter_s_model(folder: Path, tmp_path: Path) -> None:
    with LLM(folder, adapters={"a": write_adapter(tmp_path / "a")}) as llm:
        llm.embed("abc", options=using("a"))
        assert llm.counters().adapters.loads == 1
