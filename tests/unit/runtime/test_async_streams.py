"""Streams for asyncio; those for threads are tested in test_streams.py."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.disk_tiers import wait_until
from support.fake_llms import WatchedBackend, wait_until_idle

from nanoaccel.errors import EmptyPromptError, QueueFullError, StreamConsumedError
from nanoaccel.runtime.async_llm import AsyncLLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.streams import AsyncStream
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


def test_async_stream_refuses_when_it_is_asked_for(folder: Path) -> None:
    async def test(llm: AsyncLLM) -> None:
        for prompt, params, error in (
            ("", SHORT, EmptyPromptError),
            ("abc", SamplingParams(n=3, temperature=1.0), QueueFullError),
        ):
            with pytest.raises(error):
                llm.stream(prompt, params)

    run(folder, test, max_waiting=2)


def test_async_stream_is_queued_before_it_is_read(
    folder: Path, backends: list[WatchedBackend]
) -> None:
    async def test(llm: AsyncLLM) -> None:
        backends[0].hold()
        running = llm.stream("abc", SHORT)
        await asyncio.to_thread(backends[0].wait_until_held)
        waiting = llm.stream("abc", SHORT)
        assert llm.counters().submitted == 2
        with pytest.raises(QueueFullError):
            llm.stream("abc", SHORT)
        backends[0].go_on()
        text = text_of([chunk async for chunk in waiting])
        assert text == text_of([chunk async for chunk in running]) != ""

    run(folder, test, max_running=1, max_waiting=1)


def test_async_stream_may_be_made_in_a_thread_and_before_there_is_a_loop(folder: Path) -> None:
    async def read(stream: AsyncStream) -> str:
        return text_of([chunk async for chunk in stream])

    async def test(llm: AsyncLLM) -> None:
        stream = await asyncio.to_thread(llm.stream, "abc", SHORT)
        assert await read(stream) == (await llm.generate("abc", SHORT)).text

    run(folder, test)
    llm = AsyncLLM(folder)
    stream = llm.stream("abc", SHORT)
    assert asyncio.run(read(stream)) != ""
    asyncio.run(llm.close())


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


@pytest.mark.parametrize("closed", [False, True])
def test_async_stream_that_is_never_read_is_cancelled(
    folder: Path, backends: list[WatchedBackend], closed: bool
) -> None:
    async def test(llm: AsyncLLM) -> None:
        backends[0].seconds = 0.01
        stream = llm.stream("abc", LONG)
        if closed:
            await stream.aclose()
        del stream
        gc.collect()
        await asyncio.to_thread(wait_until_idle, llm)
        assert llm.counters().finished == {"cancelled": 1}

    run(folder, test)


def test_async_stream_is_cancelled_when_the_task_that_asked_for_it_is(
    folder: Path, backends: list[WatchedBackend]
) -> None:
    making, goes_on = threading.Event(), threading.Event()

    async def test(llm: AsyncLLM) -> None:
        def make() -> AsyncStream:
            making.set()
            assert goes_on.wait(20)
            return llm.stream("abc", LONG)

        backends[0].seconds = 0.01
        task = asyncio.create_task(asyncio.to_thread(make))
        assert await asyncio.to_thread(making.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        goes_on.set()
        wait = asyncio.to_thread(wait_until, lambda: llm.counters().submitted == 1, "a stream")
        await wait
        gc.collect()
        await asyncio.to_thread(wait_until_idle, llm)
        assert llm.counters().finished == {"cancelled": 1}

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
