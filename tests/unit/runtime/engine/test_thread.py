from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from support.disk_tiers import wait_until
from support.fake_llms import WatchedBackend

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ClosedError, QueueFullError
from nanoaccel.runtime.adapters.registry import AdapterRegistry
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.engine.assembly import start_engine
from nanoaccel.runtime.engine.engine import Engine
from nanoaccel.runtime.engine.thread import EngineThread
from nanoaccel.runtime.execution.loader import LoadedModel
from nanoaccel.runtime.kv import CacheShape
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.types.events import Event, EventListener
from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.testing.engines import VOCAB_SIZE
from nanoaccel.text import Tokenizer


class Bench:
    """An engine's thread on a backend that can be held, and what its requests were given."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        bundle: Bundle,
        on_event: EventListener | None = None,
        max_waiting: int = 100,
    ) -> None:
        self.tokenizer = tokenizer
        self.backend = WatchedBackend(BackendOptions(graph=Path("none")))
        shape = CacheShape(num_blocks=50, block_size=4, length=64)
        self.backend.allocate_cache(shape.num_blocks)
        self.thread = start_engine(
            LoadedModel("fake", "fake", self.backend, shape),
            EngineConfig(max_waiting=max_waiting, speculation="off"),
            bundle=bundle,
            on_event=on_event,
            registry=AdapterRegistry(bundle, None, "fake"),
        )
        self.chunks: dict[int, list[Chunk]] = {}
        self._ids = count()

    def make(self, prompt: list[int], max_tokens: int = 3) -> Request:
        request = Request(
            next(self._ids),
            prompt,
            SamplingParams(ignore_eos=True),
            max_tokens=max_tokens,
            tokenizer=self.tokenizer,
            vocab_size=VOCAB_SIZE,
            seed=0,
            index=0,
        )
        self.chunks[request.id] = []
        return request

    def submit(
        self, *prompts: list[int], max_tokens: int = 3, even_if_full: bool = False
    ) -> list[Request]:
        requests = [self.make(prompt, max_tokens) for prompt in prompts]
        for request in requests:
            sink = self.chunks[request.id].append
            self.thread.submit([request], sink, even_if_full=even_if_full)
        return requests

    def reasons(self, *requests: Request) -> list[str]:
        """Why they ended; waits until they have, and sees that they do so once."""
        for request in requests:
            wait_until(lambda request=request: bool(self._ends(request)), "an end")
        ends = [self._ends(request) for request in requests]
        assert {len(found) for found in ends} == {1}
        return [found[0] for found in ends]

    def _ends(self, request: Request) -> list[str]:
        return [c.finish_reason for c in self.chunks[request.id] if c.finish_reason is not None]


OpenBench = Callable[..., Bench]


@pytest.fixture
def open_bench(tokenizer: Tokenizer, folder: Path) -> Iterator[OpenBench]:
    opened = []
    bundle = Bundle.open(folder)

    def open_one(**options: object) -> Bench:
        opened.append(Bench(tokenizer, bundle, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for bench in opened:
        bench.backend.go_on()
        bench.thread.close()


def closing(engine: EngineThread) -> threading.Thread:
    """Close it in another thread."""
    thread = threading.Thread(target=engine.close)
    thread.start()
    wait_until(lambda: engine._closing, "the beginning of the end")
    return thread


def test_thread_runs_all_passes_in_one_thread_of_its_own(open_bench: OpenBench) -> None:
    bench = open_bench()
    assert bench.reasons(*bench.submit([1], [2, 3])) == ["length", "length"]
    assert bench.reasons(*bench.submit([4])) == ["length"]
    assert bench.backend.threads == {"nanoaccel"}
    assert bench.thread._thread.daemon


def test_thread_warms_up_before_the_first_request(open_bench: OpenBench) -> None:
    bench = open_bench()
    wait_until(lambda: bench.backend.passes == 1, "the pass that warms up")
    assert bench.thread.counters().steps == 0
    assert bench.reasons(*bench.submit([1])) == ["length"]
    bench.thread.engine.check_integrity()


def test_thread_goes_on_when_warming_up_fails(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("cold")

    monkeypatch.setattr(Engine, "warm_up", broken)
    bench = open_bench()
    assert bench.reasons(*bench.submit([1])) == ["length"]


def test_thread_submits_and_counts_during_a_pass(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.backend.hold()
    first = bench.submit([1])
    bench.backend.wait_until_held()
    second = bench.submit([2], [3])
    assert (bench.thread.counters().running, bench.thread.counters().waiting) == (1, 2)
    bench.backend.go_on()
    assert bench.reasons(*first, *second) == ["length"] * 3


def test_thread_cancels_what_runs_and_what_waits(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.backend.hold()
    running = bench.submit([1], [2])
    bench.backend.wait_until_held()
    waiting = bench.submit([3], [4])
    bench.thread.cancel([running[0], waiting[0]])
    bench.thread.cancel([waiting[0]])
    bench.backend.go_on()
    assert bench.reasons(*running) == ["cancelled", "length"]
    assert bench.reasons(*waiting) == ["cancelled", "length"]
    bench.thread.engine.check_integrity()


def test_thread_leaves_alone_what_ended_or_was_never_submitted(open_bench: OpenBench) -> None:
    bench = open_bench()
    ended = bench.submit([1])
    assert bench.reasons(*ended) == ["length"]
    bench.thread.cancel([*ended, bench.make([2])])
    assert bench.reasons(*bench.submit([3])) == ["length"]
    assert bench.reasons(*ended) == ["length"]


def test_thread_refuses_when_the_queue_is_full_and_goes_on(open_bench: OpenBench) -> None:
    bench = open_bench(max_waiting=2)
    bench.backend.hold()
    kept = bench.submit([1])
    bench.backend.wait_until_held()
    kept += bench.submit([2], [3])
    with pytest.raises(QueueFullError):
        bench.submit([4])
    kept += bench.submit([5], [6], even_if_full=True)
    bench.backend.go_on()
    assert bench.reasons(*kept) == ["length"] * 5
    assert bench.thread.counters().refused == 1


def test_thread_close_ends_everything_and_frees_once(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.backend.hold()
    requests = bench.submit([1], max_tokens=40)
    bench.backend.wait_until_held()
    requests += bench.submit([2])
    thread = closing(bench.thread)
    assert bench.backend.closings == 0, "freed during a pass"
    bench.backend.go_on()
    thread.join()
    assert bench.reasons(*requests) == ["cancelled", "cancelled"]
    assert (bench.backend.closings, bench.thread.counters().owned_blocks) == (1, 0)
    bench.thread.close()
    assert bench.backend.closings == 1
    assert not bench.thread._thread.is_alive()
    with pytest.raises(ClosedError, match=r"this LLM is closed\. Open the bundle again"):
        bench.submit([3])


def test_thread_closes_from_many_threads_at_once(open_bench: OpenBench) -> None:
    bench = open_bench()
    bench.submit([1], [2], max_tokens=40)
    threads = [threading.Thread(target=bench.thread.close) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.backend.closings == 1


def test_thread_closes_from_a_callback(open_bench: OpenBench) -> None:
    def listen(event: Event) -> None:
        if event.kind == "token":
            bench.thread.close()

    bench = open_bench(on_event=listen)
    bench.backend.hold()
    requests = bench.submit([1], [2], max_tokens=9)
    bench.backend.go_on()
    assert bench.reasons(*requests) == ["cancelled", "cancelled"]
    bench.thread.close()
    assert bench.backend.closings == 1


def test_thread_tells_events_in_order(open_bench: OpenBench) -> None:
    events: list[Event] = []
    bench = open_bench(on_event=events.append)
    bench.backend.hold()
    first, second = bench.submit([1], [2], max_tokens=2)
    bench.backend.go_on()
    bench.reasons(first, second)
    bench.thread.close()
    for request in (first, second):
        mine = [event for event in events if event.request_id == request.id]
        assert [event.kind for event in mine] == ["started", "token", "finished"]
        assert [event.chunk for event in mine[1:]] == bench.chunks[request.id]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_thread_logs_a_callback_that_raises_once_and_goes_on(
    open_bench: OpenBench, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def listen(_: Event) -> None:
        raise error

    bench = open_bench(on_event=listen)
    assert bench.reasons(*bench.submit([1], [2])) == ["length", "length"]
    wait_until(lambda: bench.thread.counters().callback_errors == 8, "all events")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert f"CallbackError: on_event raised {type(error).__name__}" in record.message


@pytest.mark.parametrize("when", ["schedule", "remove"])
def test_thread_that_fails_ends_all_requests_and_refuses_new_ones(
    open_bench: OpenBench,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    when: str,
) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("a bug")

    bench = open_bench()
    bench.backend.hold()
    requests = bench.submit([1])
    bench.backend.wait_until_held()
    requests += bench.submit([2], [3])
    monkeypatch.setattr(bench.thread.engine.scheduler, when, broken)
    bench.backend.go_on()
    assert bench.reasons(*requests) == ["error"] * 3
    assert {bench.chunks[r.id][-1].error for r in requests} == {"AssertionError: a bug"}
    with pytest.raises(ClosedError):
        bench.submit([4])
    bench.thread.close()
    assert bench.backend.closings == 1
    assert [record.message for record in caplog.records] == ["the engine stopped"]


def test_thread_frees_the_backend_when_the_end_itself_fails(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = open_bench()
    bench.backend.hold()
    requests = bench.submit([1], [2])
    bench.backend.wait_until_held()

    def broken() -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(bench.thread.engine, "cancel_all", broken)
    thread = closing(bench.thread)
    bench.backend.go_on()
    thread.join()
    assert bench.reasons(*requests) == ["error", "error"]
    assert bench.backend.closings == 1
