from __future__ import annotations

import pytest

from benchmarks.studies import prefix_cache
from nanoaccel.registry import EVICTION_POLICIES

POLICIES = EVICTION_POLICIES.names()


@pytest.mark.parametrize("policy", POLICIES)
def test_hit_rate_of_a_shared_system_prompt_is_near_the_bound_in_a_small_cache(policy: str) -> None:
    trace = prefix_cache.requests("shared system prompt")
    new = EVICTION_POLICIES.resolve(policy)
    bound = prefix_cache.hit_rate(trace, prefix_cache.unlimited(trace), new())
    system = 512 // prefix_cache.BLOCK_SIZE
    most = max(len(prompt) + len(answer) for prompt, answer in trace) // prefix_cache.BLOCK_SIZE
    assert bound > 0.7
    assert most < 2 * system
    assert prefix_cache.hit_rate(trace, most + 2, new()) > bound - 0.01


@pytest.mark.parametrize("policy", POLICIES)
def test_hit_rate_of_unrelated_prompts_is_none(policy: str) -> None:
    trace = prefix_cache.requests("unrelated prompts")
    assert prefix_cache.hit_rate(trace, 96, EVICTION_POLICIES.resolve(policy)()) == 0.0


def test_hit_rates_of_few_shot_templates_stay_below_the_bound() -> None:
    trace = prefix_cache.requests("few-shot templates")[:150]
    policies = [EVICTION_POLICIES.resolve(name) for name in POLICIES]
    bound = prefix_cache.hit_rate(trace, prefix_cache.unlimited(trace), policies[0]())
    for new in policies:
        small, large = (prefix_cache.hit_rate(trace, size, new()) for size in (96, 384))
        assert 0 < small < large < bound


def test_benchmark_prints_a_row_for_each_trace_and_size(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    traces = {name: prefix_cache.TRACES[name] for name in ("multi-turn chat", "unrelated prompts")}
    monkeypatch.setattr(prefix_cache, "TRACES", traces)
    monkeypatch.setattr("sys.argv", ["prefix_cache.py", "--blocks", "96"])
    prefix_cache.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if "96" in line]
    assert len(rows) == len(traces)
    assert all(row.count("|") == len(POLICIES) + 4 for row in rows)
