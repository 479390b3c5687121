from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from support.draft_graphs import Draft as DraftModel
from support.draft_graphs import by_two, model_drafter, next_of_two

from nanoaccel.bundle.long_factors import LongFactors
from nanoaccel.runtime.backends.fake import scripted
from nanoaccel.runtime.speculation.drafters import Draft
from nanoaccel.runtime.speculation.drafters.draft_model import ModelDrafter
from nanoaccel.testing.drafters import Always
from nanoaccel.testing.engines import VOCAB_SIZE, Bench
from nanoaccel.text import Tokenizer

TEXT = (1, 2, 3)


def written(text: Sequence[int], count: int) -> list[int]:
    """What the model writes after a text."""
    whole = list(text)
    for _ in range(count):
        whole.append(next_of_two(whole))
    return whole[len(text) :]


def draft_for(text: Sequence[int], *, request: int = 0, limit: int = 3) -> Draft:
    return Draft(request, np.array(text, np.int64), limit, lambda _: 0.5, (0.0,))


def guesses(drafter: ModelDrafter, text: Sequence[int], **options: int) -> list[int]:
    draft = draft_for(text, **options)
    drafter.propose([draft])
    return draft.proposed


def test_model_drafter_guesses_what_its_model_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = DraftModel()
    drafter = model_drafter(monkeypatch, model)
    assert guesses(drafter, TEXT) == written(TEXT, 3)
    assert [len(tokens) for step in model.passes for tokens in step] == [3, 1, 1]


def test_model_drafter_reads_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    model = DraftModel()
    drafter = model_drafter(monkeypatch, model)
    text = [*TEXT, *guesses(drafter, TEXT), 5]
    model.passes.clear()
    assert guesses(drafter, text, limit=1) == written(text, 1)
    assert model.passes == [[text[-2:]]]  # its last guess was not read, and the target's token


def test_model_drafter_takes_back_guesses_that_were_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    model = DraftModel()
    drafter = model_drafter(monkeypatch, model)
    first = guesses(drafter, TEXT)
    text = [*TEXT, first[0], (first[1] + 1) % VOCAB_SIZE]
    model.passes.clear()
    assert guesses(drafter, text) == written(text, 3)
    assert model.passes[0] == [text[-1:]]


def test_model_drafter_reads_a_text_anew_that_has_become_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = DraftModel()
    model.info = replace(model.info, long_factors=LongFactors(border=5, offset=100))
    drafter = model_drafter(monkeypatch, model)
    text = [*TEXT, *written(TEXT, 2)]
    for _ in range(3):
        assert guesses(drafter, text, limit=1) == written(text, 1)
        text.append(5)
    assert model.passes == [[text[:5]], [text[:6]], [text[6:7]]]


def test_model_drafter_reads_a_long_prompt_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    model = DraftModel()
    drafter = model_drafter(monkeypatch, model, num_blocks=128)
    text = [place % VOCAB_SIZE for place in range(300)]
    assert guesses(drafter, text) == []
    assert guesses(drafter, text) == []
    assert guesses(drafter, text) == written(text, 3)
    assert [len(step[0]) for step in model.passes] == [128, 128, 44, 1, 1]


def test_model_drafter_guesses_for_all_requests_in_one_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = DraftModel()
    drafter = model_drafter(monkeypatch, model)
    drafts = [
        draft_for(TEXT, request=1, limit=3),
        draft_for([4, 5], request=2, limit=1),
        draft_for([6], request=3, limit=2),
    ]
    drafter.propose(drafts)
    assert [draft.proposed for draft in drafts] == [
        written(TEXT, 3),
        written([4, 5], 1),
        written([6], 2),
    ]
    assert [len(step) for step in model.passes] == [3, 2, 1]


def test_model_drafter_without_room_guesses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    drafter = model_drafter(monkeypatch, DraftModel(), num_blocks=2)
    assert guesses(drafter, range(8), request=1, limit=1) == written(range(8), 1)
    assert guesses(drafter, [1], request=2) == []
    drafter.finish(1, np.arange(8), 8)
    assert guesses(drafter, [1], request=2) == written([1], 3)


def test_model_drafter_never_guesses_padding_of_its_vocabulary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    padded = VOCAB_SIZE + 3
    model = DraftModel(scripted(padded, lambda tokens: VOCAB_SIZE + len(tokens) % 3), padded)
    assert guesses(model_drafter(monkeypatch, model), TEXT) == []


def test_model_drafter_finish_of_an_unknown_request_is_fine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = DraftModel()
    drafter = model_drafter(monkeypatch, model)
    drafter.finish(7, np.arange(3), 1)
    drafter.close()
    drafter.close()
    assert model.closings > 0


def test_engine_with_a_draft_model_takes_fewer_steps(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafter = model_drafter(monkeypatch, DraftModel())
    bench = Bench(tokenizer, by_two(), drafters=[drafter], controller=Always())
    requests = [bench.submit([place, 2], max_tokens=24, ignore_eos=True) for place in range(3)]
    bench.run()
    for request in requests:
        text = request.tokens(0, request.num_known).tolist()
        assert text[2:] == written(text[:2], 24)
    counters = bench.engine.counters()
    assert counters.speculation.acceptance == 1.0
    assert counters.steps < 10
