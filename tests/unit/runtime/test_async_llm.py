from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.disk_tiers import wait_until
from support.fake_llms import WatchedBackend, wait_until_idle

from nanoaccel.errors import BundleError, ClosedError, EmptyPromptError
from nanoaccel.runtime.async_llm import AsyncLLM
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions

SHORT = SamplingParams(max_tokens=5, ignore_eos=True)
LONG = SamplingParams(max_tokens=60, ignore_eos=True)


def run(folder: Path, test: Callable[[AsyncLLM], Awaitable[None]], **options: object) -> None:
    """Run a test with an ``AsyncLLM``; afterwards nothing runs."""

    async def main() -> None:
        async with AsyncLLM(folder, **options) as llm:
            await asyncio.wait_for(test(llm), 30)
            await asyncio.to_thread(wait_until_idle, llm)

    asyncio.run(main())


async def until_submitted(llm: AsyncLLM, count: int) -> None:
    await asyncio.to_thread(wait_until, lambda: llm.counters().submitted == count, "all requests")


def test_async_llm_writes_what_llm_writes(folder: Path) -> None:
    prompts = ["abc", [3, 4], [{"role": "user", "content": "ab"}]]
    with LLM(folder) as plain:
        expected = [output.text for output in plain.generate(prompts, SHORT)]

    async def test(llm: AsyncLLM) -> None:
        outputs = await llm.generate(prompts, SHORT)
        assert [output.text for output in outputs] == expected
        assert (await llm.generate("abc", SHORT)).text == expected[0]
        assert await llm.generate([], SHORT) == []
        assert (llm.backend.name, llm.context_length) == ("fake", 64)
        assert llm.tokenizer.encode("abc") == [0, 1, 2]

    run(folder, test)


def test_async_llm_embeds_and_lets_go_when_cancelled(
    folder: Path, backends: list[WatchedBackend]
) -> None:
    async def test(llm: AsyncLLM) -> None:
        found = await llm.embed(["abc", [0, 1]], normalize=False)
        assert found.tolist() == [[3, 3, 14], [2, 2, 5]]
        backends[0].hold()
        task = asyncio.create_task(llm.embed(["abc", "d"] * 20))
        await until_submitted(llm, 42)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        backends[0].go_on()
        await asyncio.to_thread(wait_until_idle, llm)
        assert llm.counters().finished["cancelled"] > 0

    run(folder, test)


def test_async_llm_runs_many_at_once(folder: Path) -> None:
    async def test(llm: AsyncLLM) -> None:
        expected = {place: (await llm.generate([place], SHORT)).text for place in range(26)}

        async def stream(place: int) -> str:
            return "".join([chunk.text async for chunk in llm.stream([place], SHORT)])

        async def generate(place: int) -> str:
            return (await llm.generate([place], SHORT)).text

        places = list(range(26)) * 4
        tasks = [(stream if n % 2 else generate)(place) for n, place in enumerate(places)]
        assert await asyncio.gather(*tasks) == [expected[place] for place in places]

    run(folder, test)


def test_async_llm_generate_never_waits_for_room_in_a_thread(
    folder: Path, backends: list[WatchedBackend]
) -> None:
    async def test(llm: AsyncLLM) -> None:
        backends[0].hold()
        tasks = [asyncio.create_task(llm.generate(["abc", "xyz"], SHORT)) for _ in range(50)]
        await until_submitted(llm, 100)
        assert await asyncio.to_thread(lambda: "a free thread") == "a free thread"
        backends[0].go_on()
        outputs = await asyncio.gather(*tasks)
        assert {output.finish_reason for pair in outputs for output in pair} == {"length"}

    run(folder, test, max_waiting=1, max_running=1)


def test_async_llm_leaves_the_event_loop_free(folder: Path, backends: list[WatchedBackend]) -> None:
    async def test(llm: AsyncLLM) -> None:
        backends[0].hold()
        task = asyncio.create_task(llm.generate("abc", SHORT))
        await asyncio.to_thread(backends[0].wait_until_held)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not task.done()
        backends[0].go_on()
        assert (await task).finish_reason == "length"

    run(folder, test)


def test_async_llm_refuses_before_anything_runs(folder: Path) -> None:
    async def test(llm: AsyncLLM) -> None:
        with pytest.raises(EmptyPromptError):
            await llm.generate(["abc", ""], SHORT)
        assert llm.counters().submitted == 0

    run(folder, test)


def test_async_llm_cancelled_task_cancels_its_requests(
    folder: Path, backends: list[WatchedBackend]
) -> None:
    async def test(llm: AsyncLLM) -> None:
        backends[0].hold()
        task = asyncio.create_task(llm.generate(["abc"] * 20, LONG))
        await until_submitted(llm, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        backends[0].go_on()
        await asyncio.to_thread(wait_until_idle, llm)
        assert llm.counters().finished == {"cancelled": 20}

    run(folder, test)


def test_async_llm_task_that_is_cancelled_while_it_queues_cancels_all(
    folder: Path, backends: list[WatchedBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    submitting, goes_on = threading.Event(), threading.Event()

    async def test(llm: AsyncLLM) -> None:
        thread = llm._llm.client.thread
        submit = thread.submit

        def slow(*values: Any, **options: Any) -> None:
            if llm.counters().submitted == 9:
                submitting.set()
                assert goes_on.wait(20)
            submit(*values, **options)

        monkeypatch.setattr(thread, "submit", slow)
        backends[0].seconds = 0.005
        task = asyncio.create_task(llm.generate(["abc"] * 20, LONG))
        await asyncio.to_thread(submitting.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wait_until_idle, llm)
        goes_on.set()
        await until_submitted(llm, 20)
        await asyncio.to_thread(wait_until_idle, llm)
        assert llm.counters().finished == {"cancelled": 20}

    run(folder, test)


def test_async_llm_close_ends_what_runs(folder: Path, backends: list[WatchedBackend]) -> None:
    async def main() -> None:
        llm = AsyncLLM(folder)
        backends[0].hold()
        generating = asyncio.create_task(llm.generate(["abc"] * 3, LONG))
        stream = llm.stream("xyz", LONG)
        reading = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
        await until_submitted(llm, 4)
        await asyncio.to_thread(backends[0].wait_until_held)
        closing = [asyncio.create_task(llm.close()) for _ in range(2)]
        thread = llm._llm.client.thread
        await asyncio.to_thread(wait_until, lambda: thread._closing, "the beginning of the end")
        assert not closing[0].done()
        backends[0].go_on()
        await asyncio.gather(*closing)
        assert [o.finish_reason for o in await generating] == ["cancelled"] * 3
        ends = [await reading, *[chunk async for chunk in stream]]
        assert ends[-1].finish_reason == "cancelled"
        await llm.close()
        assert backends[0].closings == 1
        with pytest.raises(ClosedError):
            await llm.generate("abc")
        with pytest.raises(ClosedError):
            await anext(llm.stream("abc"))

    asyncio.run(main())


def test_async_llm_serves_one_event_loop_after_the_other(folder: Path) -> None:
    llm = AsyncLLM(folder)
    texts = [asyncio.run(llm.generate("abc", SHORT)).text for _ in range(3)]  # type: ignore[arg-type]
    assert len(set(texts)) == 1
    asyncio.run(llm.close())


def test_async_llm_whose_event_loop_is_gone_frees_what_ran(
    folder: Path, backends: list[WatchedBackend]
) -> None:
    llm = AsyncLLM(folder)
    backends[0].seconds = 0.01

    async def leave() -> None:
        asyncio.create_task(llm.generate("abc", LONG))  # noqa: RUF006 - it is left alone
        async for _ in llm.stream("xyz", LONG):
            await until_submitted(llm, 2)
            break

    asyncio.run(leave())
    gc.collect()
    wait_until_idle(llm)
    assert llm.counters().finished == {"cancelled": 2}
    asyncio.run(llm.close())


def test_async_llm_takes_the_options_of_llm(folder: Path) -> None:
    async def test(llm: AsyncLLM) -> None:
        assert llm.context_length == 8
        output = await llm.generate("abc", SHORT, RequestOptions(priority=1, timeout=30.0))
        assert output.finish_reason == "length"

    run(folder, test, kv_cache_memory=64)
    with pytest.raises(TypeError):
        AsyncLLM(folder, no_such_option=1)
    with pytest.raises(BundleError):
        AsyncLLM(folder / "nowhere")
