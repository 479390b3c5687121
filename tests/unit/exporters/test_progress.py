from __future__ import annotations

import threading

import pytest

from nanoaccel.exporters.progress import Progress, StageEvent


def test_stage_that_is_silent_shows_signs_of_life() -> None:
    beaten = threading.Event()
    seen: list[StageEvent] = []

    def listen(event: StageEvent) -> None:
        seen.append(event)
        if event.done == 0.25 and seen[-2].done == 0.25:
            beaten.set()

    with Progress(listen, heartbeat=0.01).stage("tune") as tell:
        tell(0.25, "statistics")
        assert beaten.wait(30)
    assert seen[-1].seconds is not None
    assert {event.part for event in seen[2:-1]} == {"statistics"}


def test_stage_that_breaks_ends_its_heart() -> None:
    seen: list[StageEvent] = []
    with (
        pytest.raises(ValueError, match="broken"),
        Progress(seen.append, heartbeat=0.01).stage("tune"),
    ):
        raise ValueError("broken")
    assert "progress" not in {thread.name for thread in threading.enumerate()}
    assert all(event.seconds is None for event in seen)


def test_progress_adds_up_stages_of_one_name() -> None:
    progress = Progress(lambda _: None)
    for _ in range(2):
        with progress.stage("judge"):
            pass
    assert set(progress.seconds) == {"judge"}
    assert progress.peak_memory > 10**6
