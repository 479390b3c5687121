"""An engine with two graphs of one model: requests move, and nothing of them changes."""

from __future__ import annotations

from random import Random

import pytest
from support.engines import VOCAB_SIZE, Bench, Restless, next_letter, quick

from nanoaccel.runtime.execution.pass_time import PassTimeModel
from nanoaccel.runtime.execution.selector import GraphSelector
from nanoaccel.text import Tokenizer


@pytest.mark.parametrize("seed", range(3))
def test_engine_writes_the_same_wherever_requests_run(tokenizer: Tokenizer, seed: int) -> None:
    chooser = Restless(seed)
    bench = Bench(tokenizer, quick(), num_blocks=40, chooser=chooser)
    random = Random(seed)
    requests = []
    for _ in range(30):
        prompt = [random.randrange(VOCAB_SIZE) for _ in range(random.randrange(1, 20))]
        requests.append(
            bench.submit(prompt, max_tokens=12, ignore_eos=True, priority=random.randrange(2))
        )
        bench.step()
    bench.run()
    assert chooser.moves > 5
    for request in requests:
        known = request.tokens(0, request.num_known).tolist()
        assert request.finish_reason == "length"
        for place in range(request.num_prompt, request.num_known):
            assert known[place] == next_letter(known[:place])


def test_engine_finds_a_prefix_in_the_graph_where_it_was_computed(tokenizer: Tokenizer) -> None:
    chooser = GraphSelector(
        [
            PassTimeModel(decode={1: 1.0, 4: 8.0}, prompt_token=1.0),
            PassTimeModel(decode={1: 2.0, 4: 4.0}, prompt_token=1.0),
        ]
    )
    bench = Bench(tokenizer, quick(), chooser=chooser)
    prompt = list(range(9))
    for _ in range(2):
        bench.submit(prompt, max_tokens=2)
        bench.run()
    assert bench.engine.counters().hit_tokens == 8
    assert (bench.engine.num_used_runners, len(bench.engine.runners)) == (1, 2)
    for _ in range(4):
        bench.submit(prompt, max_tokens=2)
    bench.step()
    assert chooser.current == 1
    assert bench.engine.num_used_runners == 2
    bench.run()
    assert bench.engine.counters().queried_tokens > 0
    assert bench.engine.counters().cache_bytes == 2 * 64 * bench.backend.info.bytes_per_block
