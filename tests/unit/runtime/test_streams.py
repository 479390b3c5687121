from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.fake_llms import WatchedBackend, wait_until_idle

from nanoaccel.errors import (
    ClosedError,
    EmptyPromptError,
    QueueFullError,
    SamplingError,
    StreamConsumedError,
)
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.streams import Stream
from nanoaccel.runtime.types.outputs import Chunk

SHORT = SamplingParams(max_tokens=5, ignore_eos=True)
LONG = SamplingParams(max_tokens=60, ignore_eos=True)


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def test_stream_gives_the_text_of_generate_in_pieces(llm: LLM) -> None:
    chunks = list(llm.stream("abc", SHORT))
    whole = llm.generate("abc", SHORT)
    assert text_of(chunks) == whole.text
    assert [chunk.finish_reason for chunk in chunks] == [None] * 4 + ["length"]
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].stats is not None


def test_stream_gives_all_completions_of_a_prompt(llm: LLM) -> None:
    params = SamplingParams(max_tokens=6, temperature=1.0, n=3, seed=5, ignore_eos=True)
    chunks = list(llm.stream("abc", params))
    whole = llm.generate("abc", params)
    for index, completion in enumerate(whole.completions):
        assert text_of([c for c in chunks if c.index == index]) == completion.text
    assert sum(chunk.finish_reason is not None for chunk in chunks) == 3


def test_stream_is_an_iterator(llm: LLM) -> None:
    stream = llm.stream("abc", SHORT)
    first = next(stream)
    rest = iter(stream)
    second = next(rest)
    chunks = [first, second, *rest]
    assert text_of(chunks) == llm.generate("abc", SHORT).text
    assert list(rest) == []
    with pytest.raises(StopIteration):
        next(stream)


def test_stream_is_iterated_once(llm: LLM) -> None:
    stream = llm.stream("abc", SHORT)
    assert len(list(stream)) == 5
    with pytest.raises(StreamConsumedError, match=r"was iterated already\. Collect its chunks"):
        list(stream)
    left = llm.stream("abc", SHORT)
    for _ in left:
        break
    with pytest.raises(StreamConsumedError):
        list(left)


def test_stream_that_is_not_read_keeps_nobody_waiting(llm: LLM) -> None:
    slow = llm.stream("abc", LONG)
    expected = [llm.generate(prompt, SHORT).text for prompt in ("abc", "xyz")]
    assert [text_of(list(llm.stream(prompt, SHORT))) for prompt in ("abc", "xyz")] == expected
    wait_until_idle(llm)
    assert len(list(slow)) == 60


def test_stream_of_streams_interleave(llm: LLM) -> None:
    first, second = llm.stream("abc", SHORT), llm.stream("xyz", SHORT)
    pairs = list(zip(first, second, strict=True))
    assert text_of([a for a, _ in pairs]) == llm.generate("abc", SHORT).text
    assert text_of([b for _, b in pairs]) == llm.generate("xyz", SHORT).text


def leave_by_del(stream: Stream) -> None:
    del stream
    gc.collect()


def leave_by_with(stream: Stream) -> None:
    with stream:
        next(stream)


def leave_by_break(stream: Stream) -> None:
    for _ in stream:
        break


@pytest.mark.parametrize("leave", [leave_by_del, Stream.close, leave_by_with, leave_by_break])
@pytest.mark.parametrize("completions", [1, 3])
def test_stream_that_is_left_is_cancelled(
    llm: LLM, backend: WatchedBackend, leave: Callable[[Stream], None], completions: int
) -> None:
    backend.seconds = 0.01  # it has not written everything before it is left
    params = SamplingParams(max_tokens=60, ignore_eos=True, temperature=1.0, n=completions)
    leave(llm.stream("abc", params))
    wait_until_idle(llm)
    assert llm.counters().finished["cancelled"] == completions
    assert llm.generate("abc", SHORT).finish_reason == "length"


def test_stream_that_is_closed_ends(llm: LLM) -> None:
    stream = llm.stream("abc", LONG)
    next(stream)
    stream.close()
    stream.close()
    assert list(stream) == []
    wait_until_idle(llm)


def test_stream_that_is_closed_while_it_is_read_ends(llm: LLM, backend: WatchedBackend) -> None:
    backend.hold()
    running = llm.stream("abc", LONG)
    backend.wait_until_held()
    waiting = llm.stream("abc", LONG)
    chunks: dict[Stream, list[Chunk]] = {running: [], waiting: []}
    readers = [
        threading.Thread(target=read.extend, args=(stream,), daemon=True)
        for stream, read in chunks.items()
    ]
    for reader in readers:
        reader.start()
    for stream in chunks:
        stream.close()
    backend.go_on()
    for reader in readers:
        reader.join(20)
        assert not reader.is_alive()
    assert [len(read) < 2 for read in chunks.values()] == [True, True]


def test_stream_refuses_at_once(llm: LLM) -> None:
    with pytest.raises(EmptyPromptError):
        llm.stream("")
    with pytest.raises(SamplingError):
        llm.stream("abc", SamplingParams(logit_bias={999: 1.0}))
    llm.close()
    with pytest.raises(ClosedError):
        llm.stream("abc")


def test_stream_is_refused_when_the_queue_is_full(folder: Path) -> None:
    with LLM(folder, max_waiting=2, max_running=1) as llm:
        backend = llm.session.loop.engine.runner.backend
        assert isinstance(backend, WatchedBackend)
        backend.hold()
        streams = [llm.stream("abc", SHORT)]
        backend.wait_until_held()
        streams += [llm.stream("abc", SHORT) for _ in range(2)]
        with pytest.raises(QueueFullError, match=r"room for 0 requests, not for 1\. Try again"):
            llm.stream("abc", SHORT)
        backend.go_on()
        texts = {text_of(list(stream)) for stream in streams}
        assert texts == {llm.generate("abc", SHORT).text}
        with pytest.raises(QueueFullError, match="room for 2 requests, not for 3"):
            llm.stream("abc", SamplingParams(n=3, temperature=1.0))
        assert llm.counters().refused == 4


def test_stream_keeps_the_model_open(folder: Path) -> None:
    chunks = list(LLM(folder).stream("abc", SHORT))
    assert chunks[-1].finish_reason == "length"
