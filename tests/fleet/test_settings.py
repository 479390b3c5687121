from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from nanoaccel.errors import ConfigError
from nanoaccel.fleet.serve.autoscaling import QueuedTokens
from nanoaccel.fleet.serve.config import FleetConfig


def test_arguments_of_the_command_line_are_strings() -> None:
    config = FleetConfig.from_args(
        {"bundles": "a,b", "min_engines": "2", "max_engines": "4", "cpus": "1.5"}
    )
    assert config.bundles == (Path("a"), Path("b"))
    assert (config.min_engines, config.max_engines, config.cpus) == (2, 4, 1.5)


def test_sizes_of_the_engine_may_be_written_with_units() -> None:
    config = FleetConfig.from_args({"bundles": ["a"], "engine": {"kv_cache_memory": "2GB"}})
    assert config.server().cache_memory == 2_000_000_000


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"bundle": "a"}, "Did you mean bundles"),
        ({"bundles": "a", "min_engines": "two"}, "is no number"),
        ({"bundles": "a", "min_engines": 0}, "out of range"),
        ({"bundles": "a", "min_engines": 3, "max_engines": 2}, "less than min_engines=3"),
        ({"bundles": "a", "engine": "fast"}, "config file"),
    ],
)
def test_wrong_argument_is_refused_by_name(args: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FleetConfig.from_args(args)


def test_application_without_a_bundle_is_refused() -> None:
    with pytest.raises(ConfigError, match="no bundle"):
        FleetConfig.from_args({}).server()


def test_keys_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOACCEL_API_KEY", "one two")
    assert FleetConfig.from_args({"bundles": ["a"]}).server().api_keys == ("one", "two")


@dataclass
class Told:
    """What Ray Serve's autoscaler knows."""

    aggregated_metrics: dict[str, dict[str, float]] | None
    target_num_replicas: int = 2


@pytest.mark.parametrize(
    ("running", "waiting", "wanted"),
    [((0, 0), (0, 0), 0), ((8, 1), (0, 0), 2), ((8, 8), (0, 0), 2), ((8, 8), (900, 1100), 4)],
)
def test_engines_follow_the_queue(
    running: tuple[int, int], waiting: tuple[int, int], wanted: int
) -> None:
    def named(values: tuple[int, int]) -> dict[str, float]:
        return dict(zip("ab", map(float, values), strict=True))

    policy = QueuedTokens(max_running=8, queued_tokens=1000)
    told = Told({"running": named(running), "waiting_tokens": named(waiting)})
    assert policy(told) == (wanted, {})


@pytest.mark.parametrize("told", [None, {}])
def test_engines_stay_until_they_have_told(told: dict[str, dict[str, float]] | None) -> None:
    assert QueuedTokens(8, 1000)(Told(told)) == (2, {})
