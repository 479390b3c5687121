"""A bundle on the fake backend, asked as lm-evaluation-harness asks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.fake_llms import CONTEXT, write_bundle
from support.special_tokens import adds_special_tokens

from nanoaccel.testing.engines import EOS, LETTERS, VOCAB_SIZE

pytest.importorskip("lm_eval")

from nanoaccel import registry
from nanoaccel.calibration.metrics import log_softmax
from nanoaccel.errors import ConfigError
from nanoaccel.evaluation.harness import BundleLM, sampling_params
from nanoaccel.exporters.reference.encoder import ModelEncoder
from nanoaccel.runtime.backends.fake import FakeBackend, hashed, scripted
from nanoaccel.runtime.engine import assembly as loading
from nanoaccel.runtime.sampling import SamplingParams, SamplingSettings

BOS = VOCAB_SIZE - 2
_rule = hashed(VOCAB_SIZE)


def _asked(*arguments: Any) -> SimpleNamespace:
    return SimpleNamespace(args=arguments)


def _ignore(*_: object) -> None:
    """Progress."""


def _ids(text: str) -> list[int]:
    return [LETTERS.index(letter) for letter in text]


def _log_probability(known: list[int], tokens: list[int]) -> float:
    return sum(
        float(log_softmax(_rule([*known, *tokens[:place]]))[token])
        for place, token in enumerate(tokens)
    )


def _follow(monkeypatch: pytest.MonkeyPatch, rule: Any) -> None:
    monkeypatch.setattr(
        registry.BACKENDS, "resolve", lambda _: lambda _: FakeBackend(rule, VOCAB_SIZE)
    )


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    _follow(monkeypatch, _rule)
    return write_bundle(tmp_path / "letters")


@pytest.fixture
def told() -> list[tuple[str, float]]:
    return []


@pytest.fixture
def model(bundle: Path, told: list[tuple[str, float]]) -> BundleLM:
    return BundleLM(bundle, precision="f32", listener=lambda *what: told.append(what))


def test_loglikelihood_is_of_the_continuation_alone(
    model: BundleLM, told: list[tuple[str, float]]
) -> None:
    pairs = [("the tide", " comes in"), ("a", "b"), ("the tide", " is out")]
    found = model.loglikelihood([_asked(*pair) for pair in pairs], disable_tqdm=True)
    expected = [_log_probability(_ids(context), _ids(text)) for context, text in pairs]
    assert [one[0] for one in found] == pytest.approx(expected, rel=1e-5)
    assert told[-1] == ("scoring", 1.0)


def test_loglikelihood_without_a_context_begins_with_bos(model: BundleLM) -> None:
    ((found, _),) = model.loglikelihood([_asked("", "tide")], disable_tqdm=True)
    assert found == pytest.approx(_log_probability([BOS], _ids("tide")), rel=1e-5)


def test_loglikelihood_tells_greedy_answers(model: BundleLM) -> None:
    # Only letters can be asked for as text, so the likeliest of them must be the likeliest of all.
    context = next(c for c in LETTERS if _rule(_ids(c)).argmax() < len(LETTERS))
    best = LETTERS[int(_rule(_ids(context)).argmax())]
    other = "a" if best != "a" else "b"
    found = model.loglikelihood([_asked(context, best), _asked(context, other)], disable_tqdm=True)
    assert [greedy for _, greedy in found] == [True, False]


def test_loglikelihood_keeps_the_end_of_a_long_context(model: BundleLM) -> None:
    context = "abc" * CONTEXT
    ((found, _),) = model.loglikelihood([_asked(context, "xyz")], disable_tqdm=True)
    kept = _ids(context)[-(CONTEXT - 2) :]  # the last token is not read
    assert found == pytest.approx(_log_probability(kept, _ids("xyz")), rel=1e-5)


def test_rolling_predicts_each_token_once(model: BundleLM) -> None:
    short, long = "the tide", "keeper of light " * 9
    found = model.loglikelihood_rolling([_asked(short), _asked(""), _asked(long)])
    ids, expected, begin = _ids(long), 0.0, 0
    while begin < len(ids):
        end = min(begin + CONTEXT, len(ids))
        known = [BOS, *ids[: end - 1]][-CONTEXT:]
        split = len(known) - (end - begin) + 1
        expected += _log_probability(known[:split], ids[begin:end])
        begin = end
    assert found == pytest.approx([_log_probability([BOS], _ids(short)), 0.0, expected], rel=1e-5)


def test_generate_until_stops_and_keeps_the_order(
    model: BundleLM, monkeypatch: pytest.MonkeyPatch, told: list[tuple[str, float]]
) -> None:
    monkeypatch.setattr(loading, "measure_verification", lambda *_, **__: None)
    _follow(monkeypatch, scripted(VOCAB_SIZE, lambda tokens: min(tokens[-1] + 1, EOS)))
    found = model.generate_until(
        [
            _asked("a", {"until": ["f"], "max_gen_toks": 20}),
            _asked("b", {"until": "\n", "max_gen_toks": 3}),
            _asked("x" * 2 * CONTEXT + "m", {"until": ["f"], "max_gen_toks": 20}),
            _asked("c", {"until": ["f"], "max_gen_toks": 20}),
        ]
    )
    assert found == ["bcde", "cde", "nopqrstuvwxyz .\n!", "de"]
    assert told[-1] == ("generating", 1.0)


def test_texts_begin_with_bos_where_the_tokenizer_adds_it(bundle: Path) -> None:
    plain = BundleLM(bundle, precision="f32", listener=_ignore)
    assert plain.tok_encode("ab") == [0, 1]
    adds_special_tokens(bundle, "<bos> $A <eos>")
    model = BundleLM(bundle, precision="f32", listener=_ignore)
    assert model.tok_encode("ab") == [BOS, 0, 1]
    assert model.tok_encode("<bos>ab") == [BOS, 0, 1]
    assert model.tok_encode("ab", add_special_tokens=False) == [0, 1]


def test_a_model_without_an_end_is_refused_when_it_is_needed(bundle: Path) -> None:
    (bundle / "tokenizer_config.json").write_text("{}")
    model = BundleLM(bundle, precision="f32", listener=_ignore)
    with pytest.raises(ConfigError, match="names no token that ends a text"):
        _ = model.eot_token_id


def test_conversations_go_through_the_chat_template(
    model: BundleLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    assert model.apply_chat_template(chat) == "hi.yes."
    assert model.tokenizer_name.endswith("letters")
    monkeypatch.setattr(ModelEncoder, "render", lambda *_, **__: None)
    with pytest.raises(ConfigError, match="no chat template that takes the task's messages"):
        model.apply_chat_template(chat)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, SamplingParams(max_tokens=256, seed=0)),
        ({"until": None, "max_new_tokens": 7}, SamplingParams(max_tokens=7, seed=0)),
        ({"until": "x", "temperature": 0.7}, SamplingParams(stop=("x",), seed=0)),
        (
            {"until": ["x", "", "y"], "do_sample": True, "temperature": 0.7, "top_p": 0.9},
            SamplingParams(stop=("x", "y"), temperature=0.7, top_p=0.9, seed=0),
        ),
        ({"do_sample": True, "top_k": 5}, SamplingParams(temperature=1.0, top_k=5, seed=0)),
    ],
)
def test_sampling_params_read_generation_kwargs(
    given: dict[str, Any], expected: SamplingParams
) -> None:
    assert sampling_params(given) == SamplingSettings().complete(expected)
