"""Requests with adapters in the engine: the same text in any company, from the cache and disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest
from support.adapters import LaterExecutor, read_updates, registered
from support.guessed_texts import by_all

from nanoaccel.runtime.adapters.pool import AdapterPool
from nanoaccel.runtime.adapters.registry import RegisteredAdapter
from nanoaccel.runtime.backends.fake import FakeBackend
from nanoaccel.runtime.scheduling.request import Request
from nanoaccel.testing.drafters import Always, Guesser, random_tokens
from nanoaccel.testing.engines import VOCAB_SIZE, Bench, next_letter
from nanoaccel.text import Tokenizer

PROMPT = list(range(10))
WRITE = {"max_tokens": 6, "ignore_eos": True}


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[RegisteredAdapter]:
    return registered(tmp_path_factory.mktemp("adapters"), 6)


def pool_of(
    known: Sequence[RegisteredAdapter], slots: int, executor: LaterExecutor | None = None
) -> Callable[[FakeBackend], AdapterPool]:
    chosen = LaterExecutor(at_once=True) if executor is None else executor
    return lambda backend: AdapterPool(
        backend, read_updates, lambda: known, slots=slots, executor=chosen
    )


def text(bench: Bench, request: Request) -> tuple[int, ...]:
    return tuple(t for chunk in bench.chunks[request.id] for t in chunk.token_ids)


def alone(
    tokenizer: Tokenizer, adapter: RegisteredAdapter | None, prompt: Sequence[int], **how: object
) -> tuple[int, ...]:
    known = [] if adapter is None else [adapter]
    bench = Bench(tokenizer, by_all, adapters=pool_of(known, 1))
    request = bench.submit(prompt, adapter=adapter, **how)
    bench.run()
    return text(bench, request)


def test_engine_computes_each_request_with_its_own_adapter(
    tokenizer: Tokenizer, adapters: list[RegisteredAdapter]
) -> None:
    bench = Bench(tokenizer, by_all, adapters=pool_of(adapters, 6))
    chosen = [None, *adapters]
    requests = [bench.submit(PROMPT, adapter=one, **WRITE) for one in chosen]
    bench.run()
    texts = [text(bench, request) for request in requests]
    assert texts == [alone(tokenizer, one, PROMPT, **WRITE) for one in chosen]
    assert len(set(texts)) == len(texts)
    counters = bench.engine.counters().adapters
    assert (counters.loaded, counters.loads) == (6, 6)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("guesses", [False, True])
def test_engine_text_is_the_same_in_any_company(
    tokenizer: Tokenizer,
    adapters: list[RegisteredAdapter],
    tmp_path: Path,
    seed: int,
    guesses: bool,
) -> None:
    draw = Random(seed)
    drafter = Guesser(random_tokens(VOCAB_SIZE, seed))
    bench = Bench(
        tokenizer,
        by_all,
        num_blocks=24,
        max_step_tokens=16,
        max_running=6,
        folder=tmp_path / "disk",
        drafters=[drafter] if guesses else [],
        controller=Always() if guesses else None,
        adapters=pool_of(adapters, 3),
    )
    begins = [[draw.randrange(VOCAB_SIZE - 1) for _ in range(12)] for _ in range(2)]
    asked = []
    for _ in range(25):
        prompt = [*draw.choice(begins), *draw.choices(range(VOCAB_SIZE - 1), k=draw.randint(0, 9))]
        how = {"max_tokens": draw.randint(1, 12), "ignore_eos": True}
        adapter = draw.choice([None, *adapters])
        priority = draw.randint(0, 2)
        request = bench.submit(prompt, adapter=adapter, priority=priority, **how)
        asked.append((request, adapter, prompt, how))
        for _ in range(draw.randint(0, 6)):
            bench.step()
        if draw.random() < 0.2:
            bench.cache.clear()  # what is found again comes from disk
    bench.run()
    for request, adapter, prompt, how in asked:
        assert text(bench, request) == alone(tokenizer, adapter, prompt, **how)
    assert bench.engine.counters().hit_tokens > 0


def test_engine_finds_blocks_of_the_same_adapter_alone(
    tokenizer: Tokenizer, adapters: list[RegisteredAdapter], tmp_path: Path
) -> None:
    for restarted in (False, True):
        bench = Bench(tokenizer, next_letter_rule(), folder=tmp_path, adapters=pool_of(adapters, 6))
        for adapter in (adapters[0], adapters[1], None):
            for again in (False, True):
                request = bench.submit(PROMPT, adapter=adapter, **WRITE)
                bench.run()
                assert request.num_cached_at_start == (9 if again else 8 if restarted else 0)
        bench.cache.save_all()
        assert bench.tier is not None
        bench.tier.close()


def next_letter_rule() -> Callable[[Sequence[int]], object]:
    from nanoaccel.runtime.backends.fake import scripted

    return scripted(VOCAB_SIZE, next_letter)


def test_engine_finds_blocks_by_content_and_not_by_name(
    tokenizer: Tokenizer, adapters: list[RegisteredAdapter]
) -> None:
    first, second = adapters[:2]
    replaced = RegisteredAdapter(first.name, second.folder, second.fingerprint)
    renamed = RegisteredAdapter("other", first.folder, first.fingerprint)
    bench = Bench(tokenizer, by_all, adapters=pool_of([replaced, renamed], 6))
    found = []
    for adapter in (first, replaced, renamed):
        request = bench.submit(PROMPT, adapter=adapter, **WRITE)
        bench.run()
        found.append(request.num_cached_at_start)
    assert found == [0, 0, 9]


def test_engine_ends_a_request_whose_adapter_cannot_be_loaded(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    good, bad = registered(tmp_path, 2)
    (bad.folder / "adapter_model.safetensors").unlink()
    bench = Bench(tokenizer, by_all, adapters=pool_of([good, bad], 1))
    requests = [bench.submit(PROMPT, adapter=one, **WRITE) for one in (bad, good, bad, None)]
    bench.run()
    ends = [bench.chunks[request.id][-1] for request in requests]
    assert [end.finish_reason for end in ends] == ["error", "length", "error", "length"]
    assert "has no adapter_model.safetensors" in str(ends[0].error)


def test_engine_goes_on_while_an_adapter_is_loaded(
    tokenizer: Tokenizer, adapters: list[RegisteredAdapter]
) -> None:
    executor = LaterExecutor()
    bench = Bench(tokenizer, by_all, adapters=pool_of(adapters, 2, executor))
    waits = bench.submit(PROMPT, adapter=adapters[0], **WRITE)
    assert bench.engine.can_step
    bench.step()
    assert not bench.engine.can_step  # it sleeps until the adapter is there
    passes = bench.submit(PROMPT, **WRITE)
    assert bench.engine.can_step
    bench.step()
    assert (waits.started, passes.started) == (None, 0.0)
    executor.run()
    assert bench.engine.can_step
    bench.step()
    assert waits.started == 0.0
    bench.run()


def test_engine_cancels_what_waits_for_an_adapter(
    tokenizer: Tokenizer, adapters: list[RegisteredAdapter]
) -> None:
    executor = LaterExecutor()
    bench = Bench(tokenizer, by_all, adapters=pool_of(adapters, 2, executor))
    request = bench.submit(PROMPT, adapter=adapters[0], **WRITE)
    bench.step()
    bench.engine.cancel(request)
    executor.run()
    bench.run()
    assert bench.chunks[request.id][-1].finish_reason == "cancelled"
