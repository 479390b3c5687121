"""What becomes of completions on engines that a test plays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.disk_tiers import wait_until
from support.replicas import FakeReplica, counters_of, plan_of_one_core

from nanoaccel.errors import ClosedError, ConfigError, NanoAccelError, QueueFullError
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.replicas.fleet import RESTARTS
from nanoaccel.runtime.replicas.messages import Close, Failed, Happened, Refused, Start
from nanoaccel.runtime.replicas.pool import Pool
from nanoaccel.runtime.replicas.request import ReplicaRequest
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.scheduling.queue_limits import QueueLimits
from nanoaccel.runtime.types.events import Event
from nanoaccel.runtime.types.outputs import Chunk, Progress

START = Start(Path("bundle"), "auto", EngineConfig())
PARAMS = SamplingParams(max_tokens=20, seed=3)


class Hall:
    """A pool of two engines, and what came out of it."""

    def __init__(self, max_waiting: int = 100) -> None:
        self.chunks: dict[int, list[Chunk]] = {}
        self.events: list[tuple[str, int]] = []
        self.submitted: list[int] = []
        self.pool = Pool(
            [plan_of_one_core()] * 2,
            [START] * 2,
            on_event=self._listen,
            limits=QueueLimits(max_waiting),
            share_prefixes=True,
            make=FakeReplica,  # type: ignore[arg-type]
        )

    def submit(
        self, *numbers: int, text: str = "abc", even_if_full: bool = True
    ) -> list[ReplicaRequest]:
        prompt = np.array([ord(letter) for letter in text], np.int32).tobytes()
        requests = [
            ReplicaRequest(number, number, prompt, PARAMS, RequestOptions(), None)
            for number in numbers
        ]
        self.chunks.update((number, []) for number in numbers)
        self.pool.submit(requests, self._take, even_if_full=even_if_full)
        self.submitted.extend(numbers)
        return requests

    def text(self, number: int) -> str:
        return "".join(chunk.text for chunk in self.chunks[number])

    def wait_for_end(self, number: int) -> Chunk:
        """Its last chunk, the only one with a finish reason."""
        wait_until(lambda: self._ends(number) != [], "the end of a request")
        (end,) = self._ends(number)
        assert end is self.chunks[number][-1]
        return end

    def _ends(self, number: int) -> list[Chunk]:
        return [chunk for chunk in self.chunks[number] if chunk.finish_reason is not None]

    def _take(self, chunk: Chunk) -> None:
        self.chunks[chunk.index].append(chunk)

    def _listen(self, event: Event) -> None:
        self.events.append((event.kind, event.request_id))
        if event.request_id == 99:
            raise RuntimeError("the listener broke")


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> list[FakeReplica]:
    """All engines that were started, in order."""
    made: list[FakeReplica] = []
    monkeypatch.setattr(FakeReplica, "made", made, raising=False)
    monkeypatch.setattr(FakeReplica, "broken", False, raising=False)
    return made


@pytest.fixture
def hall() -> Iterator[Hall]:
    hall = Hall()
    yield hall
    hall.pool.close()
    assert all(hall.wait_for_end(number) for number in hall.submitted), "each ends once"


def wait_for(engines: list[FakeReplica], count: int) -> None:
    wait_until(lambda: len(engines) == count, "engines that are started")


def test_pool_gives_chunks_in_order_and_tells_events(
    hall: Hall, engines: list[FakeReplica]
) -> None:
    hall.submit(0, 1)
    assert [engine.asked for engine in engines] == [[0], [1]]
    for number, engine in enumerate(engines):
        engine.start_on(number)
        engine.write(number, "ab")
        engine.write(number, "c", "stop")
    assert [hall.wait_for_end(number).finish_reason for number in (0, 1)] == ["stop", "stop"]
    assert (hall.text(0), hall.text(1)) == ("abc", "abc")
    wait_until(lambda: len(hall.events) == 6, "all events")
    assert [kind for kind, number in hall.events if number == 1] == [
        "started",
        "token",
        "finished",
    ]


def test_pool_begins_requests_anew_that_had_delivered_nothing(
    hall: Hall, engines: list[FakeReplica]
) -> None:
    hall.submit(0, 1, 2, 3)
    first, second = engines
    assert (first.asked, second.asked) == ([0, 2], [1, 3])
    first.start_on(0, 2)
    first.write(0, "a")
    wait_until(lambda: hall.text(0) == "a", "the first chunk")
    first.die()
    end = hall.wait_for_end(0)
    assert (end.finish_reason, end.error) == ("error", "engine 1 of 2 ended by signal SIGKILL")
    assert end.usage is not None
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (3, 1)
    wait_until(lambda: second.asked == [1, 3, 2], "the request that moves")
    second.start_on(2)
    second.write(2, "xy", "length")
    assert (hall.wait_for_end(2).finish_reason, hall.text(2)) == ("length", "xy")
    assert hall.events.count(("started", 2)) == 1
    assert [message for message in first.sent if message in second.sent], "the same seed"


def test_pool_starts_an_engine_again(hall: Hall, engines: list[FakeReplica]) -> None:
    engines[0].die()
    wait_for(engines, 3)
    engines[2].write(55, "stale")
    wait_until(lambda: len(hall.pool.pids) == 2, "two engines")
    hall.submit(0)
    hall.submit(1, 2, 3)
    wait_until(lambda: 0 < len(engines[2].asked) < 4, "requests for the new one")
    assert sorted(engines[1].asked + engines[2].asked) == [0, 1, 2, 3]


def test_pool_ignores_what_an_engine_said_before_it_ended(
    hall: Hall, engines: list[FakeReplica]
) -> None:
    hall.submit(0)
    engines[0].die()
    wait_until(lambda: engines[1].asked == [0], "the request that moves")
    engines[0].write(0, "stale", "stop")
    engines[1].write(0, "b", "stop")
    hall.wait_for_end(0)
    assert hall.text(0) == "b"


def test_pool_gives_up_a_request_that_engines_end_with(
    hall: Hall, engines: list[FakeReplica]
) -> None:
    hall.submit(7)
    for _ in range(3):
        wait_until(lambda: any(7 in engine.asked for engine in engines[-3:]), "the request")
        holder = [engine for engine in engines if 7 in engine.asked][-1]
        count = len(engines)
        holder.start_on(7)
        holder.die()
        wait_for(engines, count + 1)
        wait_until(
            lambda holder=holder: (
                bool(hall._ends(7)) or [e for e in engines if 7 in e.asked][-1] is not holder
            ),
            "what becomes of it",
        )
    assert hall.wait_for_end(7).finish_reason == "error"


def test_pool_without_engines_says_so(
    hall: Hall, engines: list[FakeReplica], monkeypatch: pytest.MonkeyPatch
) -> None:
    hall.submit(0)
    monkeypatch.setattr(FakeReplica, "broken", True)
    for engine in engines[:2]:
        engine.die()
    wait_until(lambda: not hall.pool.pids, "the end of all")
    assert len(engines) == 2 * (1 + RESTARTS)
    assert hall.wait_for_end(0).finish_reason == "error"
    with pytest.raises(ClosedError, match="no engine left"):
        hall.submit(1)


def test_request_that_is_told_its_place_still_waits(engines: list[FakeReplica]) -> None:
    hall = Hall(max_waiting=1)
    hall.submit(0, even_if_full=False)
    engines[0].say(Happened(0, "progress", progress(place=2)))
    wait_until(lambda: ("progress", 0) in hall.events, "its place")
    with pytest.raises(QueueFullError, match="max_waiting=1"):
        hall.submit(1, even_if_full=False)
    engines[0].say(Happened(0, "progress", progress(place=0)))
    wait_until(lambda: hall.events.count(("progress", 0)) == 2, "its prompt")
    hall.submit(2, even_if_full=False)
    assert hall.chunks[0][0].progress == Progress(3, 0, 0, 0.0, 2, 2)
    hall.pool.close()


def progress(place: int) -> Chunk:
    return Chunk("", (), progress=Progress(3, 0, 0, 0.0, place, 2))


def test_pool_bounds_what_waits_over_all_engines(engines: list[FakeReplica]) -> None:
    hall = Hall(max_waiting=2)
    hall.submit(0, 1, even_if_full=False)
    with pytest.raises(QueueFullError, match="max_waiting=2"):
        hall.submit(2, even_if_full=False)
    engines[0].start_on(0)
    wait_until(lambda: ("started", 0) in hall.events, "a start")
    hall.submit(3, even_if_full=False)
    hall.submit(4, 5)
    assert hall.pool.counters().refused == 1
    hall.pool.close()
    assert {hall.wait_for_end(number).finish_reason for number in (0, 1, 3, 4, 5)} == {"cancelled"}


def test_pool_cancels_where_the_request_is(hall: Hall, engines: list[FakeReplica]) -> None:
    (request,) = hall.submit(0)
    hall.pool.cancel([request])
    wait_until(lambda: engines[0].cancelled == [0], "the message")
    engines[0].write(0, "", "cancelled")
    assert hall.wait_for_end(0).finish_reason == "cancelled"
    hall.pool.cancel([request])


def test_pool_does_not_begin_a_cancelled_request_anew(
    hall: Hall, engines: list[FakeReplica]
) -> None:
    (request,) = hall.submit(0)
    hall.pool.cancel([request])
    engines[0].die()
    assert hall.wait_for_end(0).finish_reason == "cancelled"
    assert engines[1].asked == []


def test_pool_ends_what_an_engine_refuses(hall: Hall, engines: list[FakeReplica]) -> None:
    hall.submit(0)
    engines[0].say(Refused(0, "it does not fit"))
    end = hall.wait_for_end(0)
    assert (end.finish_reason, end.error) == ("error", "it does not fit")


def test_pool_adds_counters_of_engines_that_have_ended(
    hall: Hall, engines: list[FakeReplica]
) -> None:
    engines[0].last_counters = counters_of(steps=5, running=2)
    engines[1].last_counters = counters_of(steps=7)
    assert (hall.pool.counters().steps, hall.pool.counters().running) == (12, 2)
    engines[0].die()
    wait_for(engines, 3)
    assert (hall.pool.counters().steps, hall.pool.counters().running) == (12, 0)


def test_pool_counts_what_the_listener_raises(hall: Hall, engines: list[FakeReplica]) -> None:
    hall.submit(99)
    engines[0].write(99, "ab", "stop")
    hall.wait_for_end(99)
    wait_until(lambda: hall.pool.counters().callback_errors == 1, "the error")


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (Failed("ConfigError", "threads=9 is wrong", "Lower it"), ConfigError, "threads=9"),
        (None, NanoAccelError, "engine 1 of 2 ended by signal SIGKILL as it loaded"),
    ],
)
def test_pool_that_cannot_open_raises_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
    engines: list[FakeReplica],
    said: Failed | None,
    error: type[Exception],
    message: str,
) -> None:
    if said is None:
        monkeypatch.setattr(FakeReplica, "broken", True)
    else:
        monkeypatch.setattr(FakeReplica, "greeting", said)
    with pytest.raises(error, match=message):
        Hall()
    assert len(engines) == 2
    assert said is None or all(isinstance(engine.sent[-1], Close) for engine in engines)
