"""Calls into event loops from other threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nanoaccel.runtime.loop_calls import call_in, gathered_calls


def told(tell: Callable[[asyncio.AbstractEventLoop], None]) -> None:
    """Let another thread tell a loop something, and the loop hear it."""

    async def hear() -> None:
        await asyncio.to_thread(tell, asyncio.get_running_loop())
        await asyncio.sleep(0)

    asyncio.run(hear())


def test_gathered_calls_wake_a_loop_once_and_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[int] = []
    woken: list[Any] = []

    def tell(loop: asyncio.AbstractEventLoop) -> None:
        wake = loop.call_soon_threadsafe
        with monkeypatch.context() as patch:
            patch.setattr(loop, "call_soon_threadsafe", lambda *call: woken.append(wake(*call)))
            with gathered_calls():
                for number in range(5):
                    call_in(loop, found.append, number)
                assert not woken
            assert len(woken) == 1

    told(tell)
    assert found == [0, 1, 2, 3, 4]


def test_calls_before_an_error_are_made_and_those_outside_at_once() -> None:
    found: list[int] = []

    def fail(loop: asyncio.AbstractEventLoop) -> None:
        with gathered_calls():
            call_in(loop, found.append, 1)
            raise ValueError("stop")

    def tell(loop: asyncio.AbstractEventLoop) -> None:
        with pytest.raises(ValueError, match="stop"):
            fail(loop)
        call_in(loop, found.append, 2)

    told(tell)
    assert found == [1, 2]


def test_a_closed_loop_is_called_in_vain() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with gathered_calls():
        call_in(loop, print)
    call_in(loop, print)
