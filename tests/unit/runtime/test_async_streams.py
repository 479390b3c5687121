"""Streams for asyncio; those for threads are tested in test_streams.py."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.fake_llms import WatchedBackend, wait_until_idle

from nanoaccel.errors import EmptyPromptError, QueueFullError, StreamConsumedError
from nanoaccel.runtime.async_llm import AsyncLLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.types.outputs import Chunk

SHORT = SamplingParams(max_tokens=5, ignore_eos=True)
LONG = SamplingParams(max_tokens=60, ignore_eos=True)


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def run(folder: Path, test: Callable[[AsyncLLM], Awaitable[None]], **options: object) -> None:
    """Run a test with an ``AsyncLLM``; afterwards nothing runs."""

    async def main() -> None:
        async with AsyncLLM(folder, **options) as llm:
            await asyncio.wait_for(test(llm), 30)
            await asyncio.to_thread(wait_until_idle, llm)

    asyncio.run(main())


def test_async_stream_gives_the_text_of_generate_in_pieces(folder: Path) -> None:
    async def test(llm: AsyncLLM) -> None:
        chunks = [chunk async for chunk in llm.stream("abc", SHORT)]
        assert text_of(chunks) == (await llm.generate("abc", SHORT)).text
        assert chunks[-1].finish_reason == "length"

    run(folder, test)


def test_async_stream_is_an_iterator(folder: Path) -> None:
    async def test(llm: AsyncLLM) -> None:
        stream = llm.stream("abc", SHORT)
        first = await anext(stream)
        rest = aiter(stream)
        chunks = [first, await anext(rest), *[chunk async for chunk in rest]]
        assert text_of(chunks) == (await llm.generate("abc", SHORT)).text
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        with pytest.raises(StreamConsumedError):
            aiter(stream)

    run(folder, test)


def test_async_stream_refuses_when_it_is_read(folder: Path) -> None:
    async def test(llm: AsyncLLM) -> None:
        for prompt, params, error in (
            ("", SHORT, EmptyPromptError),
            ("abc", SamplingParams(n=3, temperature=1.0), QueueFullError),
        ):
            stream = llm.stream(prompt, params)
            with pytest.raises(error):
                await anext(stream)
            assert [chunk async for chunk in stream] == []

    run(folder, test, max_waiting=2)


async def leave_by_breaking(llm: AsyncLLM) -> None:
    async for _ in llm.stream("abc", LONG):
        break


async def leave_by_aclose(llm: AsyncLLM) -> None:
    stream = llm.stream("abc", LONG)
    await anext(stream)
    await stream.aclose()
    await stream.aclose()
    assert [chunk async for chunk in stream] == []


async def leave_by_async_with(llm: AsyncLLM) -> None:
    async with llm.stream("abc", LONG) as stream:
        await anext(stream)


async def leave_by_raising(llm: AsyncLLM) -> None:
    async def read() -> None:
        async for _ in llm.stream("abc", LONG):
            raise KeyError

    with pytest.raises(KeyError):
        await read()


async def leave_by_cancelling(llm: AsyncLLM) -> None:
    async def read() -> None:
        async for _ in llm.stream("abc", LONG):
            began.set()
            await asyncio.sleep(0)

    began = asyncio.Event()
    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


LEAVES = [
    leave_by_breaking,
    leave_by_aclose,
    leave_by_async_with,
    leave_by_raising,
    leave_by_cancelling,
]


@pytest.mark.parametrize("leave", LEAVES)
def test_async_stream_that_is_left_is_cancelled(
    folder: Path, backends: list[WatchedBackend], leave: Callable[[AsyncLLM], Awaitable[None]]
) -> None:
    async def test(llm: AsyncLLM) -> None:
        backends[0].seconds = 0.01
        await leave(llm)
        await asyncio.to_thread(wait_until_idle, llm)
        assert llm.counters().finished == {"cancelled": 1}

    run(folder, test)


def test_async_stream_that_is_never_read_is_never_queued(folder: Path) -> None:
    async def test(llm: AsyncLLM) -> None:
        await llm.stream("abc", LONG).aclose()
        del llm
        gc.collect()

    run(folder, test)


@pytest.mark.parametrize("cancelled", [False, True])
def test_async_stream_that_is_left_while_it_is_queued_is_cancelled(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    prepares, goes_on = threading.Event(), threading.Event()

    async def test(llm: AsyncLLM) -> None:
        prepare = llm._llm.session.prepare

        def slow(*values: object) -> object:
            prepares.set()
            assert goes_on.wait(20)
            return prepare(*values)  # type: ignore[arg-type]

        monkeypatch.setattr(llm._llm.session, "prepare", slow)
        stream = llm.stream("abc", LONG)
        reader = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
        assert await asyncio.to_thread(prepares.wait, 20)
        if cancelled:
            reader.cancel()
            await asyncio.sleep(0.01)
        else:
            await stream.aclose()
        goes_on.set()
        with pytest.raises(asyncio.CancelledError if cancelled else StopAsyncIteration):
            await reader
        await asyncio.to_thread(wait_until_idle, llm)
        assert llm.counters().generated_tokens < 60

    run(folder, test)


def test_async_stream_that_is_closed_while_it_is_read_ends(
    folder: Path, backends: list[WatchedBackend]
) -> None:
    async def test(llm: AsyncLLM) -> None:
        async def read() -> list[Chunk]:
            return [chunk async for chunk in stream]

        backends[0].hold()
        stream = llm.stream("abc", LONG)
        reader = asyncio.create_task(read())
        await asyncio.to_thread(backends[0].wait_until_held)
        await stream.aclose()
        backends[0].go_on()
        assert len(await reader) < 2

    run(folder, test)
