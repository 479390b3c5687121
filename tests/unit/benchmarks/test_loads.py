from __future__ import annotations

import json

import pytest

from benchmarks.harness.loads import Load, closed_loop, decoding, poisson


def test_a_closed_loop_asks_at_once_what_it_may() -> None:
    load = closed_loop(4, 10, seed=1)
    assert (load.slots, len(load.requests)) == (4, 10)
    assert {request.at for request in load.requests} == {0.0}
    assert all(16 <= len(request.prompt) <= 512 for request in load.requests)


def test_poisson_arrivals_come_at_their_rate() -> None:
    load = poisson(2.0, 400, seed=1)
    assert load.slots is None
    times = [request.at for request in load.requests]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(200, rel=0.2)


def test_long_prompts_disturb_in_the_background() -> None:
    quiet, disturbed = (decoding(1, disturbed=disturbed) for disturbed in (False, True))
    assert not any(request.background for request in quiet.requests)
    assert disturbed.requests[: len(quiet.requests)] == quiet.requests
    assert all(request.background for request in disturbed.requests[len(quiet.requests) :])


def test_a_load_comes_back_from_json() -> None:
    load = poisson(1.0, 3, seed=2)
    assert Load.from_json(json.loads(json.dumps(load.to_json()))) == load
