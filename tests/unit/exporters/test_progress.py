from __future__ import annotations

import gc
import threading

import pytest

from nanoaccel.exporters.progress import Progress, StageEvent, rare_collections


def test_stage_that_is_silent_shows_signs_of_life() -> None:
    """What was told last is told again; before that it may have said that it lives, too."""
    beaten = threading.Event()
    seen: list[StageEvent] = []

    def listen(event: StageEvent) -> None:
        seen.append(event)
        if sum(one.done is not None for one in seen) == 2:
            beaten.set()

    with Progress(listen, heartbeat=0.01).stage("tune") as tell:
        tell(0.25, "statistics")
        beaten.wait()
    assert seen[-1].seconds is not None
    told = next(place for place, event in enumerate(seen) if event.done is not None)
    assert {(event.done, event.part) for event in seen[told:-1]} == {(0.25, "statistics")}


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


def test_rare_collections_end_with_what_was_before() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with pytest.raises(ValueError, match="broken"), rare_collections() as freeze:  # noqa: PT012
        freeze()
        assert gc.get_freeze_count() > frozen
        raise ValueError("broken")
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
