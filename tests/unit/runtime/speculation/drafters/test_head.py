from __future__ import annotations

import numpy as np
import pytest
from support.draft_graphs import HeadGraph, by_two, head_drafter, next_of_two

from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.runtime.speculation.drafters import Draft, Drafter
from nanoaccel.runtime.speculation.drafters.head import HeadDrafter
from nanoaccel.runtime.types.plan import Float32Array
from nanoaccel.testing.drafters import Always
from nanoaccel.testing.engines import VOCAB_SIZE, Bench
from nanoaccel.text import Tokenizer


def states(tokens: list[int], start: int) -> Float32Array:
    """What a target with hidden states gives for tokens from a position on."""
    return np.array([(token, start + i) for i, token in enumerate(tokens)], np.float32)


def text_of(length: int) -> list[int]:
    text = [3, 5]
    while len(text) < length:
        text.append(next_of_two(text))
    return text


def guesses(drafter: HeadDrafter, text: list[int], limit: int = 3) -> list[int]:
    draft = Draft(0, np.array(text, np.int64), limit, lambda _: 0.5, (0.0,))
    drafter.propose([draft])
    return draft.proposed


def bench_with(tokenizer: Tokenizer, drafter: Drafter, **options: int) -> Bench:
    return Bench(
        tokenizer,
        by_two(),
        hidden_states=True,
        drafters=[drafter],
        controller=Always(),
        **options,  # type: ignore[arg-type]
    )


def is_plain(request: Request) -> bool:
    text = request.tokens(0, request.num_known).tolist()
    return all(
        text[place] == next_of_two(text[:place]) for place in range(request.num_prompt, len(text))
    )


def test_head_drafter_reads_each_state_with_the_token_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = HeadGraph()
    drafter = head_drafter(monkeypatch, graph)
    text = text_of(9)
    drafter.observe(0, 0, states(text[:-1], 0))
    assert guesses(drafter, text) == text_of(12)[9:]
    read, own = graph.fed[:8], graph.fed[8:]
    assert [row.token for row in read] == text[1:]
    assert [row.target for row in read] == [(token, i) for i, token in enumerate(text[:-1])]
    assert [row.token for row in own] == text_of(11)[9:]
    assert [row.own for row in own] == [(text_of(11)[place - 1], place - 1) for place in (9, 10)]


def test_head_drafter_replaces_its_guesses_by_what_the_target_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = HeadGraph()
    drafter = head_drafter(monkeypatch, graph)
    text = text_of(6)
    drafter.observe(0, 0, states(text[:-1], 0))
    guesses(drafter, text)
    graph.fed.clear()
    longer = [*text, 1, 2]
    drafter.observe(0, 5, states(longer[5:-1], 5))
    assert guesses(drafter, longer, limit=1) == [next_of_two(longer)]
    assert [(row.token, row.target) for row in graph.fed] == [(1, (text[5], 5)), (2, (1, 6))]


def test_head_drafter_waits_for_the_states_of_the_last_but_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drafter = head_drafter(monkeypatch, HeadGraph())
    text = text_of(6)
    assert guesses(drafter, text) == []
    drafter.observe(0, 0, states(text[:3], 0))
    assert guesses(drafter, text) == []
    drafter.observe(0, 3, states(text[3:-1], 3))
    assert guesses(drafter, text) == text_of(9)[6:]


def test_head_drafter_takes_states_once_that_come_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = HeadGraph()
    drafter = head_drafter(monkeypatch, graph)
    text = text_of(8)
    drafter.observe(0, 0, states(text[:5], 0))
    drafter.observe(0, 0, states(text[:4], 0))  # after a preemption
    drafter.observe(0, 4, states(text[4:-1], 4))
    assert guesses(drafter, text, limit=1) == text_of(9)[8:]
    assert [row.position for row in graph.fed] == list(range(7))


def test_head_drafter_begins_behind_a_cached_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = HeadGraph()
    drafter = head_drafter(monkeypatch, graph)
    text = text_of(20)
    drafter.observe(0, 13, states(text[13:-1], 13))
    assert guesses(drafter, text, limit=2) == text_of(22)[20:]
    assert graph.fed[0].position == 13


def test_head_drafter_reads_the_latest_of_a_long_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = HeadGraph()
    drafter = head_drafter(monkeypatch, graph)
    text = text_of(1000)
    for start in range(0, 999, 128):
        drafter.observe(0, start, states(text[start : min(start + 128, 999)], start))
    assert guesses(drafter, text) == text_of(1003)[1000:]
    assert [row.position for row in graph.fed[:32]] == list(range(999 - 32, 999))


def test_head_drafter_stops_at_a_token_that_it_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of(6)
    after = text_of(12)[6:]
    known = sorted(set(range(VOCAB_SIZE)) - {after[2]})
    drafter = head_drafter(monkeypatch, HeadGraph(known), known)
    drafter.observe(0, 0, states(text[:-1], 0))
    assert guesses(drafter, text, limit=5) == after[:2]


@pytest.mark.parametrize("num_blocks", [64, 14])
def test_engine_with_a_head_writes_the_same_text_in_fewer_steps(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, num_blocks: int
) -> None:
    bench = bench_with(tokenizer, head_drafter(monkeypatch, HeadGraph()), num_blocks=num_blocks)
    shared = list(range(9))
    requests = [
        bench.submit([*shared, place], max_tokens=40, ignore_eos=True) for place in range(4)
    ]
    bench.run()
    assert all(is_plain(request) and request.num_generated == 40 for request in requests)
    counters = bench.engine.counters()
    assert (counters.preemptions > 0) == (num_blocks == 14)
    assert counters.speculation.acceptance == 1.0
    assert counters.speculation.tokens_per_step > 2


def test_engine_cuts_prompts_and_the_head_reads_all_of_them(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = HeadGraph()
    bench = bench_with(tokenizer, head_drafter(monkeypatch, graph), max_step_tokens=8)
    request = bench.submit(text_of(30), max_tokens=10, ignore_eos=True)
    bench.run()
    assert is_plain(request)
    assert [row.target for row in graph.fed[:30]] == [(t, i) for i, t in enumerate(text_of(30))]
