from __future__ import annotations

import _thread
import gc
import os
import subprocess
import sys
import threading
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.disk_tiers import wait_until
from support.fake_llms import BLOCK_BYTES, WatchedBackend, wait_until_idle

from nanoaccel.errors import (
    ClosedError,
    EmptyPromptError,
    GenerationError,
    NanoAccelError,
    PromptTooLongError,
    RequestError,
    SamplingError,
)
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.types.events import Event
from nanoaccel.runtime.types.outputs import RequestOutput
from nanoaccel.testing.engines import LETTERS

SHORT = SamplingParams(max_tokens=5, ignore_eos=True)
LONG = SamplingParams(max_tokens=60, ignore_eos=True)


def test_llm_one_prompt_gives_one_output(llm: LLM) -> None:
    output = llm.generate("abc", SHORT)
    assert output.prompt_token_ids == (0, 1, 2)
    assert output.text == "".join(LETTERS[token] for token in output.token_ids)
    assert output.finish_reason == "length"
    assert (output.usage.prompt_tokens, output.usage.completion_tokens) == (3, 5)
    assert (output.error, output.logprobs) == (None, ())
    assert output.stats.total >= 0


def test_llm_list_gives_a_list_in_order(llm: LLM) -> None:
    prompts = ["abc", [3, 4], [{"role": "user", "content": "ab"}], "z"]
    outputs = llm.generate(prompts, SHORT)
    assert [output.prompt_token_ids[0] for output in outputs] == [0, 3, 0, 25]
    for prompt, output in zip(prompts, outputs, strict=True):
        assert output.token_ids == llm.generate(prompt, SHORT).token_ids
    assert llm.generate([], SHORT) == []


def test_llm_numpy_integers_are_token_ids(llm: LLM) -> None:
    ids = list(np.array([1, 2, 3]))
    assert llm.generate(ids, SHORT).prompt_token_ids == (1, 2, 3)


def test_llm_messages_go_through_the_chat_template(llm: LLM) -> None:
    output = llm.generate([{"role": "user", "content": "hi"}], SHORT)
    assert "".join(LETTERS[token] for token in output.prompt_token_ids) == "hi."


def test_llm_n_completions_differ_and_repeat_with_the_seed(llm: LLM) -> None:
    params = SamplingParams(max_tokens=8, temperature=1.0, n=3, seed=5, ignore_eos=True)
    output = llm.generate("abc", params)
    texts = [completion.text for completion in output.completions]
    assert len(set(texts)) == 3
    assert [completion.text for completion in llm.generate("abc", params).completions] == texts
    assert output.usage.completion_tokens == 24


def test_llm_without_seed_gives_another_text_each_time(llm: LLM) -> None:
    params = SamplingParams(max_tokens=20, temperature=2.0, ignore_eos=True)
    assert llm.generate("abc", params).text != llm.generate("abc", params).text


@pytest.mark.parametrize("most", [0, 3])
def test_llm_scores_a_prompt_once(llm: LLM, most: int) -> None:
    params = SamplingParams(max_tokens=most, n=2, prompt_logprobs=2, ignore_eos=True)
    output = llm.generate("abc", params)
    first, second = output.completions
    assert output.prompt_logprobs == first.prompt_logprobs
    assert first.prompt_logprobs[0] is None
    assert [entry.token_id for entry in first.prompt_logprobs[1:] if entry] == [1, 2]
    assert second.prompt_logprobs == ()
    assert (first.finish_reason, len(first.token_ids)) == ("length", most)
    chunks = list(llm.stream("abc", params))
    assert [chunk.index for chunk in chunks if chunk.prompt_logprobs] == [0]


def test_llm_embeds_prompts(llm: LLM) -> None:
    raw = llm.embed(["abc", [0, 1], [{"role": "user", "content": "hi"}]], normalize=False)
    assert raw.dtype == np.float32
    assert raw[:2].tolist() == [[3, 3, 14], [2, 2, 5]]
    units = llm.embed("abc", pooling="mean", dimensions=2)
    np.testing.assert_allclose(units, [[2 / 8**0.5, 2 / 8**0.5]], rtol=1e-6)
    assert llm.embed([]).shape[0] == 0


def test_llm_names_the_prompt_that_has_no_embedding(llm: LLM) -> None:
    late = RequestOptions(timeout=1e-9)
    with pytest.raises(GenerationError, match="prompt 1 has no embedding: timeout"):
        llm.embed(["abc", "d"], options=[None, late])


def test_llm_refuses_embeddings_of_a_graph_without_states(
    llm: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = replace(llm.client.info, state_size=0)
    monkeypatch.setattr(llm.client._processor, "_info", told)
    with pytest.raises(RequestError, match="Export the model again"):
        llm.embed("abc")


def test_llm_max_tokens_none_fills_the_context(llm: LLM) -> None:
    output = llm.generate("abc", SamplingParams(max_tokens=None, ignore_eos=True))
    assert output.finish_reason == "length"
    assert len(output.token_ids) == 64 - 3


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        ("", EmptyPromptError, "the prompt is empty"),
        ([[]], EmptyPromptError, "the prompt is empty"),
        ("a" * 64, PromptTooLongError, "has 64 tokens; 63 fit"),
        ([1, 999], RequestError, "999 is not a token id from 0 to"),
        ([1, -1], RequestError, "-1 is not a token id"),
        ([1, "a"], RequestError, "'a' is not a token id"),
        ([None], RequestError, "NoneType is not a prompt"),
        (5, RequestError, "int is not a prompt"),
        ({"role": "user"}, RequestError, "dict is not a prompt"),
        (b"abc", RequestError, "bytes is not a prompt"),
        (["abc", ""], EmptyPromptError, "the prompt is empty"),
    ],
)
def test_llm_bad_prompts_are_refused_before_anything_runs(
    llm: LLM, prompt: object, error: type[NanoAccelError], message: str
) -> None:
    with pytest.raises(error, match=message):
        llm.generate(prompt, SHORT)  # type: ignore[call-overload]


def test_llm_logit_bias_beyond_the_vocabulary_is_refused(llm: LLM) -> None:
    with pytest.raises(SamplingError):
        llm.generate("abc", SamplingParams(logit_bias={999: 1.0}))
    assert llm.generate("abc", SHORT).finish_reason == "length"


def test_llm_threads_share_it(llm: LLM) -> None:
    prompts = [chr(ord("a") + place) * 3 for place in range(16)]
    expected = [llm.generate(prompt, SHORT).text for prompt in prompts]
    found: dict[int, list[str]] = {}

    def work(place: int) -> None:
        written = llm.generate([prompts[place], prompts[-1]], SHORT)
        streamed = "".join(chunk.text for chunk in llm.stream(prompts[place], SHORT))
        found[place] = [*(output.text for output in written), streamed]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {place: [text, expected[-1], text] for place, text in enumerate(expected)}


def test_llm_list_may_be_longer_than_the_queue(folder: Path) -> None:
    prompts = [[place % 26, place // 26] for place in range(150)]
    with LLM(folder, max_waiting=2, max_running=3) as llm:
        outputs = llm.generate(prompts, SHORT)
        assert [list(output.prompt_token_ids) for output in outputs] == prompts
        assert {output.finish_reason for output in outputs} == {"length"}
        params = SamplingParams(max_tokens=3, temperature=1.0, n=7, ignore_eos=True)
        assert len(llm.generate("abc", params).completions) == 7
        assert llm.counters().refused == 0


def test_llm_close_cancels_what_runs_and_refuses_what_comes(
    llm: LLM, backend: WatchedBackend
) -> None:
    outputs: list[RequestOutput] = []
    backend.hold()
    worker = threading.Thread(target=lambda: outputs.extend(llm.generate(["abc"] * 3, LONG)))
    worker.start()
    backend.wait_until_held()
    stream = llm.stream("xyz", LONG)
    closing = threading.Thread(target=llm.close)
    closing.start()
    wait_until(lambda: llm.client.thread._closing, "the beginning of the end")
    backend.go_on()
    closing.join(20)
    worker.join(20)
    assert [output.finish_reason for output in outputs] == ["cancelled"] * 3
    assert list(stream)[-1].finish_reason == "cancelled"
    llm.close()
    assert backend.closings == 1
    with pytest.raises(ClosedError, match="this LLM is closed"):
        llm.generate("abc", SHORT)
    assert llm.counters().finished["cancelled"] == 4
    assert (llm.backend.name, llm.context_length) == ("fake", 64)


def test_llm_whose_engine_fails_keeps_nobody_waiting(
    llm: LLM, backend: WatchedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    backend.hold()
    stream = llm.stream("abc", LONG)
    backend.wait_until_held()
    monkeypatch.setattr(llm.client.thread.engine.scheduler, "schedule", broken)
    backend.go_on()
    last = list(stream)[-1]
    assert (last.finish_reason, last.error) == ("error", "ZeroDivisionError: a bug")
    with pytest.raises(ClosedError):
        llm.generate(["abc"] * 3)
    with pytest.raises(ClosedError):
        llm.stream("abc")
    llm.close()
    assert backend.closings == 1


def test_llm_closed_in_a_callback_is_closed(folder: Path, backends: list[WatchedBackend]) -> None:
    def listen(event: Event) -> None:
        if event.kind == "token":
            llm.close()

    llm = LLM(folder, on_event=listen)
    assert llm.generate("abc", LONG).finish_reason == "cancelled"
    llm.close()
    assert backends[0].closings == 1


def test_llm_that_is_let_go_ends_its_thread(folder: Path, backends: list[WatchedBackend]) -> None:
    llm = LLM(folder)
    llm.generate("abc", SHORT)
    stream = llm.stream("abc", LONG)
    thread, gone = llm.client.thread._thread, weakref.ref(llm.client)
    del llm
    gc.collect()
    assert thread.is_alive(), "the stream still reads"
    assert len(list(stream)) == 60
    gc.collect()
    wait_until(lambda: not thread.is_alive(), "the thread")
    assert gone() is None
    assert backends[0].closings == 1


def test_llm_that_is_not_closed_lets_the_interpreter_end(folder: Path) -> None:
    script = f"""
from support.fake_llms import WatchedBackend
from nanoaccel import registry
from nanoaccel.runtime.llm import LLM

class Backend(WatchedBackend):
    def close(self):
        print("freed", flush=True)

registry.BACKENDS.resolve = lambda _: Backend
llm = LLM({str(folder)!r})
llm.client.thread.engine.runner.backend.seconds = 0.02
stream = llm.stream("abc")
next(stream)
"""
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "freed\n", "")


def test_llm_ctrl_c_cancels_what_it_waits_for(llm: LLM, backend: WatchedBackend) -> None:
    def interrupt() -> None:
        wait_until(lambda: llm.counters().submitted == 40, "all requests")
        backend.wait_until_held()
        _thread.interrupt_main()
        wait_until(lambda: len(llm.client.thread._cancelled) == 40, "the cancellation")
        backend.go_on()

    backend.hold()
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        llm.generate(["abc"] * 40, LONG)
    wait_until_idle(llm)
    assert llm.counters().finished == {"cancelled": 40}
    assert llm.generate("abc", SHORT).finish_reason == "length"


def test_llm_timeout_ends_a_request_with_its_text_so_far(llm: LLM, backend: WatchedBackend) -> None:
    whole = llm.generate("abc", LONG)
    backend.seconds = 0.01
    output = llm.generate("abc", LONG, RequestOptions(timeout=0.2))
    assert output.finish_reason == "timeout"
    assert whole.text.startswith(output.text)
    assert llm.generate("abc", SHORT, RequestOptions(timeout=60.0)).finish_reason == "length"


def test_llm_priority_decides_who_starts_first(folder: Path) -> None:
    started: list[int] = []

    def listen(event: Event) -> None:
        if event.kind == "started":
            started.append(event.request_id)

    with LLM(folder, max_running=1, on_event=listen) as llm:
        backend = llm.client.thread.engine.runner.backend
        assert isinstance(backend, WatchedBackend)
        backend.hold()
        streams = [llm.stream("abc", SHORT)]
        backend.wait_until_held()
        for priority in (0, -1, 2, 0, 2):
            streams.append(llm.stream("abc", SHORT, RequestOptions(priority=priority)))
        backend.go_on()
        for stream in streams:
            list(stream)
    # 3 and 5 displace 0, which had started.
    assert started == [0, 3, 5, 1, 4, 2]


def test_llm_small_cache_limits_the_prompt(folder: Path) -> None:
    with LLM(folder, kv_cache_memory=2 * BLOCK_BYTES) as small:
        assert small.context_length == 8
        with pytest.raises(PromptTooLongError, match="has 8 tokens; 7 fit"):
            small.generate("a" * 8, SHORT)
        with pytest.raises(PromptTooLongError):
            small.stream("a" * 8, SHORT)
        assert small.generate("a" * 7, LONG).finish_reason == "length"
        assert len(small.generate("a" * 4, LONG).token_ids) == 4


def test_llm_names_its_backend(llm: LLM) -> None:
    assert llm.backend.name == "fake"
