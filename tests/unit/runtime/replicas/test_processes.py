"""Engines in real processes, which run letters."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import replicas
from support.adapters import write_adapter
from support.disk_tiers import wait_until
from support.fake_llms import BLOCK_BYTES, write_bundle
from support.replicas import LETTERS_BACKEND, SECONDS, is_alive, wait_until_gone, write_plugin

from nanoaccel.errors import (
    ClosedError,
    ConfigError,
    ForkedError,
    NanoAccelError,
    RequestError,
    SamplingError,
)
from nanoaccel.runtime.async_llm import AsyncLLM
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.replicas import replica
from nanoaccel.runtime.replicas.client import ReplicaClient
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.types.events import Event
from nanoaccel.text import ChatOptions

SHORT = SamplingParams(max_tokens=5, ignore_eos=True)
LONG = SamplingParams(max_tokens=30, ignore_eos=True)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs of Linux"
)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of letters, for a backend that is plugged in everywhere."""
    monkeypatch.syspath_prepend(write_plugin(tmp_path / "plugin"))
    return write_bundle(tmp_path / "bundle")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes of engines that are started from now on last a while."""
    monkeypatch.setenv(SECONDS, "0.02")


def open_two(bundle: Path, **options: object) -> LLM:
    return LLM(bundle, backend=LETTERS_BACKEND, replicas=2, speculation="off", **options)  # type: ignore[arg-type]


def pids_of(llm: LLM) -> list[int]:
    assert isinstance(llm.client, ReplicaClient)
    return llm.client.pool.pids


@pytest.fixture
def llm(bundle: Path) -> Iterator[LLM]:
    with open_two(bundle) as opened:
        yield opened


def test_replicas_write_what_one_engine_writes(bundle: Path, llm: LLM) -> None:
    prompts = ["abc", "the keeper", [3, 4], [{"role": "user", "content": "ab"}]] * 3
    sampled = SamplingParams(max_tokens=9, temperature=1.0, n=3, seed=5, ignore_eos=True)
    with LLM(bundle, backend=LETTERS_BACKEND, replicas=1, speculation="off") as one:
        plain = one.generate(prompts, SHORT)
        completions = one.generate("abc", sampled).completions
        assert (llm.context_length, one.replicas, llm.replicas) == (one.context_length, 1, 2)
        assert llm.backend == one.backend
    assert [output.text for output in llm.generate(prompts, SHORT)] == [o.text for o in plain]
    again = llm.generate("abc", sampled).completions
    assert [c.text for c in again] == [c.text for c in completions]
    assert [chunk.index for chunk in llm.stream("abc", sampled) if chunk.finish_reason] != [0, 0, 0]
    counters = llm.counters()
    assert counters.submitted == 18
    assert (counters.finished, counters.waiting) == ({"length": 18}, 0)


def test_replicas_score_a_prompt_once(bundle: Path, llm: LLM) -> None:
    params = SamplingParams(max_tokens=2, n=2, prompt_logprobs=3, ignore_eos=True)
    with LLM(bundle, backend=LETTERS_BACKEND, replicas=1, speculation="off") as one:
        wanted = [c.prompt_logprobs for c in one.generate("the keeper", params).completions]
    told = [c.prompt_logprobs for c in llm.generate("the keeper", params).completions]
    assert told == wanted
    assert [len(entries) for entries in told] == [10, 0]


def test_replicas_embed(bundle: Path, llm: LLM) -> None:
    prompts = ["abc", "the keeper", [3, 4], "d"]
    with LLM(bundle, backend=LETTERS_BACKEND, replicas=1, speculation="off") as one:
        wanted = one.embed(prompts, pooling="mean", dimensions=2)
    assert llm.embed(prompts, pooling="mean", dimensions=2).tolist() == wanted.tolist()


def test_replicas_pass_on_the_options_of_a_chat(bundle: Path, llm: LLM) -> None:
    (bundle / "chat_template.jinja").write_text("{{ letter }}{{ messages[0].content }}")
    options = RequestOptions(chat=ChatOptions(template_kwargs={"letter": "k"}))
    with open_two(bundle) as opened:
        output = opened.generate([{"role": "user", "content": "ab"}], SHORT, options=options)
        assert list(output.prompt_token_ids) == opened.tokenizer.encode("kab")
        assert output.text == llm.generate("kab", SHORT).text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_replicas_in_a_fork_say_so_at_once(llm: LLM) -> None:
    child = os.fork()
    if child == 0:
        told = 0
        for call in (lambda: llm.generate("a"), lambda: llm.stream("a"), llm.counters):
            try:
                call()
            except ForkedError:
                told += 1
        os._exit(told)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert len(llm.generate("abc", SHORT).token_ids) == 5


def test_replicas_share_the_work(llm: LLM) -> None:
    first, second = pids_of(llm)
    assert first != second
    masks = [os.sched_getaffinity(pid) for pid in (first, second)]
    assert masks[0].isdisjoint(masks[1])


def test_replicas_refuse_in_the_same_place(llm: LLM) -> None:
    with pytest.raises(RequestError, match="the prompt is empty"):
        llm.stream("")
    with pytest.raises(SamplingError):
        llm.stream("abc", SamplingParams(logit_bias={99: 1.0}))
    assert llm.generate("abc", SHORT).finish_reason == "length"


def test_replicas_divide_memory_and_the_prompt_cache(bundle: Path, tmp_path: Path) -> None:
    options = {"kv_cache_memory": BLOCK_BYTES * 20, "prompt_cache": tmp_path / "cache"}
    with open_two(bundle, **options) as llm:
        assert llm.counters().cache_blocks == 20
        assert llm.context_length == 40
        llm.generate(["the keeper of the light", "and other words, too"], SHORT)
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [
        "replica-0",
        "replica-1",
    ]
    with open_two(bundle, **options) as llm:
        llm.generate(["the keeper of the light", "and other words, too"], SHORT)
        assert llm.counters().restored_tokens > 0


def test_replicas_raise_what_an_engine_raises_as_it_opens(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"there is no eviction policy 'lrru'. Did you mean 'lru'\?"
    ):
        open_two(bundle, eviction_policy="lrru")
    with pytest.raises(ConfigError, match="replicas=9999 is more than the"):
        LLM(bundle, replicas=9999)
    for wrong in (0, True, "two"):
        with pytest.raises(ConfigError, match="is no number of engines"):
            LLM(bundle, replicas=wrong)  # type: ignore[arg-type]
    with pytest.raises(NanoAccelError):
        open_two(tmp_path / "absent")


@pytest.mark.usefixtures("slow")
def test_replicas_end_each_request_once_when_an_engine_is_killed(bundle: Path) -> None:
    events: list[Event] = []
    with open_two(bundle, max_running=1, on_event=events.append) as llm:
        streams = [llm.stream("abc", LONG) for _ in range(6)]
        begun = [next(streams[0]), next(streams[1])]
        assert all(chunk.finish_reason is None for chunk in begun)
        os.kill(pids_of(llm)[0], signal.SIGKILL)
        ends = [[chunk for chunk in stream if chunk.finish_reason] for stream in streams]
        assert [len(end) for end in ends] == [1] * 6
        reasons = [end[0].finish_reason for end in ends]
        assert sorted(reasons[:2]) == ["error", "length"]
        assert reasons[2:] == ["length"] * 4
        (failed,) = (end[0] for end in ends if end[0].finish_reason == "error")
        assert "ended by signal SIGKILL" in str(failed.error)
        wait_until(lambda: len(pids_of(llm)) == 2, "an engine that is started again")
        assert llm.generate(["abc"] * 4, SHORT)[3].finish_reason == "length"
    kinds = [event.kind for event in events if event.request_id == 5]
    assert (kinds.count("started"), kinds.count("finished")) == (1, 1)


@pytest.mark.usefixtures("slow")
def test_replicas_close_leaves_no_process(bundle: Path) -> None:
    llm = open_two(bundle)
    stream, pids = llm.stream("abc", LONG), pids_of(llm)
    next(stream)
    llm.close()
    llm.close()
    assert not any(map(is_alive, pids))
    assert list(stream)[-1].finish_reason == "cancelled"
    assert llm.counters().finished == {"cancelled": 1}
    with pytest.raises(ClosedError, match="this LLM is closed"):
        llm.generate("abc")


@pytest.mark.usefixtures("slow")
def test_replicas_close_kills_an_engine_that_hangs(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replica, "_PATIENCE", 0.5)
    llm = open_two(bundle)
    streams = [llm.stream(text, LONG) for text in ("abc", "def")]
    for stream in streams:
        next(stream)
    pids = pids_of(llm)
    os.kill(pids[0], signal.SIGSTOP)
    begun = time.monotonic()
    llm.close()
    assert time.monotonic() - begun < 5
    assert not any(map(is_alive, pids))
    assert [list(stream)[-1].finish_reason for stream in streams] == ["cancelled"] * 2
    assert [record.message for record in caplog.records] == [
        "engine 1 of 2 does not end, and is killed"
    ]


@pytest.mark.usefixtures("slow")
def test_replicas_cancel_and_time_out(bundle: Path) -> None:
    with open_two(bundle) as llm:
        stream = llm.stream("abc", LONG)
        next(stream)
        del stream
        late = llm.generate("abc", LONG, RequestOptions(timeout=0.1))
        assert late.finish_reason == "timeout"
        wait_until(lambda: llm.counters().finished == {"cancelled": 1, "timeout": 1}, "both ends")


def test_replicas_that_nobody_holds_end(bundle: Path) -> None:
    llm = open_two(bundle)
    pids = pids_of(llm)
    del llm
    gc.collect()
    wait_until_gone(pids)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("how", ["exit", "kill"])
def test_replicas_end_with_the_process_of_the_user(bundle: Path, how: str) -> None:
    script = subprocess.Popen(
        [sys.executable, replicas.__file__, str(bundle), "leave" if how == "exit" else "wait"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert script.stdout is not None
    with script:
        pids = [int(pid) for pid in script.stdout.readline().split()]
        assert len(pids) == 2
        if how == "kill":
            assert all(map(is_alive, pids))
            script.kill()
    assert script.returncode == (0 if how == "exit" else -signal.SIGKILL)
    wait_until_gone(pids)


@pytest.mark.usefixtures("slow")
def test_replicas_do_not_hear_what_interrupts_the_user(bundle: Path) -> None:
    with open_two(bundle) as llm:
        stream = llm.stream("abc", SHORT)
        for pid in pids_of(llm):
            os.kill(pid, signal.SIGINT)
        assert list(stream)[-1].finish_reason == "length"


def test_replicas_say_what_their_engines_log(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NANOACCEL_THREADS", "1")
    with open_two(bundle):
        pass
    monkeypatch.setenv("NANOACCEL_THREADS", "none")
    with caplog.at_level(logging.WARNING, "nanoaccel"), open_two(bundle) as llm:
        assert llm.generate("abc", SHORT).finish_reason == "length"
    assert "engine 2 of 2: NANOACCEL_THREADS='none' is ignored" in caplog.text


async def _ask(bundle: Path) -> list[str]:
    options = {"backend": LETTERS_BACKEND, "replicas": 2, "speculation": "off"}
    async with AsyncLLM(bundle, **options) as llm:
        outputs = await llm.generate(["abc", "xyz"], SHORT)
        streamed = [chunk.text async for chunk in llm.stream("abc", SHORT)]
        assert llm.replicas == 2
    return [*(output.text for output in outputs), "".join(streamed)]


def test_replicas_serve_asyncio(bundle: Path) -> None:
    first, _, streamed = asyncio.run(_ask(bundle))
    assert first == streamed


def test_replicas_share_one_list_of_adapters(bundle: Path, tmp_path: Path) -> None:
    folders = [write_adapter(tmp_path / f"a{seed}", seed) for seed in range(2)]
    prompts = ["abc", "the keeper", "lamp"] * 2
    with LLM(bundle, backend=LETTERS_BACKEND, speculation="off", adapters={"x": folders[0]}) as one:
        using = RequestOptions(adapter="x")
        plain = [output.token_ids for output in one.generate(prompts, SHORT)]
        adapted = [output.token_ids for output in one.generate(prompts, SHORT, using)]
        one.adapters.add("y", folders[1])
        other = [
            output.token_ids for output in one.generate(prompts, SHORT, RequestOptions(adapter="y"))
        ]
    with open_two(bundle, adapters={"x": folders[0]}) as llm:
        assert [output.token_ids for output in llm.generate(prompts, SHORT)] == plain
        assert [output.token_ids for output in llm.generate(prompts, SHORT, using)] == adapted
        assert 1 <= llm.counters().adapters.loaded <= 2
        for pid in pids_of(llm):  # those that are started again know it too
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(pids_of(llm)) == 2, "engines that are started again")
        assert [output.token_ids for output in llm.generate(prompts, SHORT, using)] == adapted
        llm.adapters.remove("x")
        llm.adapters.add("x", folders[1])
        assert [output.token_ids for output in llm.generate(prompts, SHORT, using)] == other
        llm.adapters.remove("x")
        with pytest.raises(RequestError, match="there is no adapter 'x'"):
            llm.generate("abc", SHORT, using)
