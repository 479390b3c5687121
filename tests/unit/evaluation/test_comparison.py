"""Comparisons of bundles on the fake backend, and the prompts that they answer."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.adapters import write_adapter
from support.fake_llms import CONTEXT, skip_measurements, write_bundle
from support.paper import add_tokens

from nanoaccel import registry
from nanoaccel.calibration.metrics import log_softmax
from nanoaccel.errors import ConfigError, PromptTooLongError, RequestError, SourceError
from nanoaccel.evaluation.comparison import (
    CompareOptions,
    Comparison,
    ComparisonPrompt,
    compare,
    read_prompts,
    reading,
)
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.backends.fake import FakeBackend, Rule, hashed
from nanoaccel.runtime.llm import LLM
from nanoaccel.testing.engines import VOCAB_SIZE
from nanoaccel.text import Tokenizer

_FIRST = hashed(VOCAB_SIZE)


def _drifting(tokens: Sequence[int]) -> np.ndarray:
    """As the first, and from ten tokens on another."""
    logits = _FIRST(tokens)
    return np.roll(logits, 1) if len(tokens) > 10 else logits


RULES: dict[str, Rule] = {"first": _FIRST, "same": _FIRST, "drifting": _drifting}
PROMPTS = [ComparisonPrompt(f"line {i}", ({"role": "user", "content": "abc" * i},)) for i in (1, 2)]


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bundle follows the rule of its name."""

    def load(options: BackendOptions) -> FakeBackend:
        return FakeBackend(RULES[options.graph.parent.name], VOCAB_SIZE)

    skip_measurements(monkeypatch)
    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: load)


def run(folder: Path, other: str, **options: Any) -> Comparison:
    bundles = [write_bundle(folder / name) for name in ("first", other)]
    return compare(*bundles, PROMPTS, CompareOptions(**{"max_tokens": 12, **options}))


def test_a_bundle_answers_as_itself(tmp_path: Path) -> None:
    found = run(tmp_path, "same")
    assert found.same == len(PROMPTS)
    assert found.differences == []
    assert found.fidelity.kl < 1e-6
    assert found.fidelity.top1_agreement == 1.0
    assert found.fidelity.tokens == found.a.tokens == found.b.tokens


def test_what_is_not_given_is_what_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def load(options: BackendOptions) -> FakeBackend:
        seen.append(options.precision)
        return FakeBackend(_FIRST, VOCAB_SIZE)

    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: load)
    monkeypatch.setenv("NANOACCEL_PRECISION", "f32")
    run(tmp_path / "set", "same")
    assert set(seen) == {"f32"}
    seen.clear()
    run(tmp_path / "given", "same", precision="auto")
    assert set(seen) == {"auto"}


def test_a_bundle_beside_itself_with_an_adapter(tmp_path: Path) -> None:
    adapter = str(write_adapter(tmp_path / "tuned", 1))
    found = run(tmp_path, "same", adapter_b=adapter)
    assert found.b.name == f"{tmp_path / 'same'} with adapter {adapter}"
    assert found.same == 0
    assert found.fidelity.kl > 0.1
    with_both = run(tmp_path, "same", adapter_a=adapter, adapter_b=adapter)
    assert with_both.same == len(PROMPTS)
    assert with_both.fidelity.kl < 1e-6
    with pytest.raises(RequestError, match="there is no adapter 'orders'"):
        run(tmp_path, "same", adapter_a="orders")


def test_answers_part_where_models_do_and_tokens_tell_by_how_much(tmp_path: Path) -> None:
    found = run(tmp_path, "drifting")
    tokenizer = Tokenizer.load(tmp_path / "first")
    for one in found.answers:
        ids = [*one.prompt.encode(tokenizer, raw=False), *one.a.token_ids]
        asked = len(ids) - len(one.a.token_ids)
        place = one.first_difference
        assert place is not None
        assert one.a.token_ids[:place] == one.b.token_ids[:place]
        assert one.a.token_ids[place] != one.b.token_ids[place]
        assert "".join(one.a.pieces) == tokenizer.decode(one.a.token_ids, False)
        for i, token in enumerate(one.tokens):
            logits = np.stack([rule(ids[: asked + i]) for rule in (_drifting, _FIRST)])
            b, a = log_softmax(logits.astype(np.float32))
            assert token.kl == pytest.approx(float((np.exp(a) * (a - b)).sum()), abs=2e-3)
            assert (token.kl > 0.1) == (asked + i > 10)
            assert token.probability_a == pytest.approx(np.exp(a[ids[asked + i]]), rel=1e-2)
            assert token.probability_b == pytest.approx(np.exp(b[ids[asked + i]]), rel=1e-2)
            assert token.likeliest_probability_b == pytest.approx(np.exp(b.max()), rel=1e-2)


def test_one_model_is_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_now: set[int] = set()
    most = 0

    class Counted(FakeBackend):
        def __init__(self) -> None:
            nonlocal most
            super().__init__(_FIRST, VOCAB_SIZE)
            open_now.add(id(self))
            most = max(most, len(open_now))

        def close(self) -> None:
            open_now.discard(id(self))
            super().close()

    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: lambda _options: Counted())
    run(tmp_path, "same")
    assert (most, open_now) == (1, set())


def test_models_are_used_in_the_given_context(tmp_path: Path) -> None:
    used: list[LLM] = []

    def noted(llm: LLM) -> closing[LLM]:
        used.append(llm)
        return closing(llm)

    first = write_bundle(tmp_path / "first")
    compare(first, first, PROMPTS, CompareOptions(max_tokens=2), closing=noted)
    assert len(used) == 2


def test_other_tokens_and_long_prompts_are_refused_by_name(tmp_path: Path) -> None:
    first, other = write_bundle(tmp_path / "first"), write_bundle(tmp_path / "same")
    long = ComparisonPrompt("p.txt, line 7", ({"role": "user", "content": "a" * CONTEXT},))
    with pytest.raises(PromptTooLongError, match=r"p\.txt, line 7: the prompt has"):
        compare(first, other, [long])
    add_tokens(other, ["word"])
    with pytest.raises(ConfigError, match=f"{other} has another tokenizer than {first}"):
        compare(first, other, PROMPTS)
    with pytest.raises(ConfigError, match="max_tokens=0"):
        CompareOptions(max_tokens=0)


def test_a_refused_conversation_is_named(tmp_path: Path) -> None:
    first = write_bundle(tmp_path / "first")
    (first / "chat_template.jinja").unlink()
    turns = ({"role": "user", "content": "a"}, {"role": "user", "content": "b"})
    with pytest.raises(RequestError, match=r"d\.jsonl, line 3: .* no chat template"):
        compare(first, first, [ComparisonPrompt("d.jsonl, line 3", turns)])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a full disk is a device of Linux")
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TemporaryFile", lambda **_: open("/dev/full", "r+b", 0))  # noqa: SIM115
    with pytest.raises(ConfigError, match=r"cannot be kept in .*: No space left"):
        run(tmp_path, "same")


def test_predictions_that_will_not_fit_are_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ConfigError, match=r"predicts takes .* GB in .* are free"):
        run(tmp_path, "same")


def test_prompts_of_a_text_file(tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text("Why?\n\n  Who?  \n")
    assert [(one.where, one.text()) for one in read_prompts(file)] == [
        (f"{file}, line 1", "Why?"),
        (f"{file}, line 3", "Who?"),
    ]
    assert [one.text() for one in read_prompts(file, 1)] == ["Why?"]
    file.write_text("Two\nlines\n---\nOne\n---\n\n")
    assert [(one.where, one.text()) for one in read_prompts(file)] == [
        (f"{file}, line 1", "Two\nlines"),
        (f"{file}, line 4", "One"),
    ]


def test_prompts_of_training_data(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "completion": "b"},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}]},
    ]
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_prompts(file)
    assert [one.expected for one in found] == ["b", "b", None]
    assert [one.text() for one in found] == ["a", "a", "system: s\n\nuser: a"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("p.txt", b"\n \n", "p.txt has no prompts"),
        ("p.txt", b"a\xff", "not UTF-8 at byte 1"),
        ("p.jsonl", b'{"prompt": "a"}\n{', "line 2 is no JSON"),
        ("p.jsonl", b"[1]", "line 1 is no object"),
        ("p.jsonl", b'{"text": "a"}', "line 1 has no prompt or messages"),
        ("p.jsonl", b'{"messages": ["a"]}', "line 1 has no prompt or messages"),
        ("p.jsonl", b'{"messages": [{"role": "assistant", "content": "a"}]}', "no prompt"),
    ],
)
def test_prompts_that_cannot_be_read(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=told):
        read_prompts(tmp_path / name)


def test_prompts_of_a_missing_file_or_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*: No such file"):
        read_prompts(tmp_path / "nowhere.txt")
    with pytest.raises(ConfigError, match="limit=0"):
        read_prompts(tmp_path / "nowhere.txt", 0)
