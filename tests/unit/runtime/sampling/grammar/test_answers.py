"""Whatever the schema, the model and what else runs: an answer that ends is a valid one."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from nanoaccel import LLM, Grammar, SamplingParams
from nanoaccel.runtime.types.outputs import Completion

# Some spell special tokens of the tokenizer.
_NAMES = ["name", "age", "a", "ab", 'q"\\', "é", "<eos>"]
_LEAVES: list[Any] = [
    {"type": "string", "maxLength": 4},
    {"type": "string", "pattern": "^[a-c]{1,3}$"},
    {"type": "string", "format": "date"},
    {"enum": ["name", "names", "nam", 'x"y', "é\n"]},
    {"type": "integer", "minimum": -20, "maximum": 1500},
    {"type": "integer", "multipleOf": 7, "minimum": 0, "maximum": 99},
    {"type": "number", "exclusiveMinimum": 0.5, "maximum": 2},
    {"type": "boolean"},
    {"const": {"name": [1, None]}},
    {"const": "a<eos>b<mark>"},
    {"enum": ["<mark>", "<eos>", "a"]},
    {"type": ["null", "boolean"]},
]


def _objects(members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def made(properties: dict[str, Any], keep: int) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": properties,
            "required": sorted(properties)[:keep],
            "additionalProperties": False,
        }

    named = st.dictionaries(st.sampled_from(_NAMES), members, min_size=1, max_size=3)
    return st.builds(made, named, st.integers(0, 3))


def _arrays(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda item, least: {
            "type": "array",
            "items": item,
            "minItems": least,
            "maxItems": least + 1,
        },
        items,
        st.integers(0, 2),
    )


def _unions(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(lambda both: {"anyOf": both}, st.lists(parts, min_size=2, max_size=2))


SCHEMAS = st.recursive(
    st.sampled_from(_LEAVES),
    lambda inner: st.one_of(_objects(inner), _arrays(inner), _unions(inner)),
    max_leaves=5,
).filter(lambda schema: isinstance(schema, dict))

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check(schema: Any, completion: Completion) -> None:
    """An answer that ended is valid; one that did not was cut short."""
    assert completion.error is None
    if completion.finish_reason == "stop":
        Draft202012Validator(schema).validate(json.loads(completion.text))
    else:
        assert completion.finish_reason == "length"
        assert completion.usage.completion_tokens == 150


@QUICK
@given(
    schema=SCHEMAS,
    flexible=st.booleans(),
    ignore_eos=st.booleans(),
    batch=st.sampled_from([1, 8]),
    seed=st.integers(0),
)
def test_answers_are_valid_and_the_same_with_and_without_drafts(
    plain: LLM,
    guessed: LLM,
    schema: Any,
    flexible: bool,
    ignore_eos: bool,
    batch: int,
    seed: int,
) -> None:
    params = SamplingParams(
        grammar=Grammar.json_schema(schema, flexible_whitespace=flexible),
        max_tokens=150,
        temperature=1.0,
        seed=seed,
        ignore_eos=ignore_eos,
    )
    prompts = [f"prompt {number}" for number in range(batch)]
    answers = [llm.generate(prompts, params) for llm in (plain, guessed)]
    for one, other in zip(*answers, strict=True):
        check(schema, one.completions[0])
        check(schema, other.completions[0])
        assert one.token_ids == other.token_ids
        assert one.finish_reason == other.finish_reason


def test_drafts_are_accepted_where_the_grammar_allows_them(guessed: LLM) -> None:
    schema = {"type": "array", "items": {"type": "string", "maxLength": 9}, "minItems": 4}
    params = SamplingParams(grammar=Grammar.json_schema(schema), max_tokens=200)
    output = guessed.generate("one", params)
    assert output.stats.accepted_tokens > 0


def test_different_grammars_run_together_with_none(plain: LLM) -> None:
    grammars = [Grammar.regex("[ab]{6}"), None, Grammar.choice(["red", "reddish"]), None]
    params = [SamplingParams(grammar=one, max_tokens=20, temperature=1, seed=4) for one in grammars]
    together = plain.generate(["one"] * 4, params)
    alone = [plain.generate("one", one) for one in params]
    assert [output.text for output in together] == [output.text for output in alone]
    assert re.fullmatch("[ab]{6}", together[0].text)
    assert together[2].text in ("red", "reddish")


def test_n_completions_are_those_of_their_seeds(plain: LLM) -> None:
    grammar = Grammar.regex("[a-z]{8}")
    output = plain.generate("x", SamplingParams(grammar=grammar, n=3, temperature=2.0, seed=7))
    texts = [completion.text for completion in output.completions]
    assert len(set(texts)) == 3
    for offset, text in enumerate(texts):
        params = SamplingParams(grammar=grammar, temperature=2.0, seed=7 + offset)
        assert plain.generate("x", params).text == text


def test_forced_tokens_need_no_steps_of_their_own(plain: LLM) -> None:
    fields = ["first name", "second name", "town", "country"]
    schema = {
        "type": "object",
        "properties": {name: {"enum": ["yes", "no"]} for name in fields},
        "required": fields,
        "additionalProperties": False,
    }
    output = plain.generate("x", SamplingParams(grammar=Grammar.json_schema(schema)))
    assert set(json.loads(output.text)) == set(fields)
    assert output.usage.completion_tokens > 40
    # One for the beginning, and one for each choice of two.
    assert output.stats.steps == 1 + len(fields)


def test_answer_that_is_complete_ends_without_an_end_token(plain: LLM) -> None:
    output = plain.generate("x", SamplingParams(grammar=Grammar.choice(["abc"]), max_tokens=3))
    assert (output.text, output.finish_reason) == ("abc", "stop")


def test_end_comes_only_where_the_grammar_is_complete(plain: LLM) -> None:
    end = next(iter(plain.tokenizer.eos_token_ids))
    params = SamplingParams(
        grammar=Grammar.regex("(ab)+"), logit_bias={end: 1000}, min_tokens=3, max_tokens=20
    )
    output = plain.generate("x", params)
    assert re.fullmatch("(ab)+", output.text)
    assert output.token_ids[-1] == end
    assert len(output.token_ids) in (4, 5)
    assert output.finish_reason == "stop"


def test_end_that_is_ignored_does_not_come(plain: LLM) -> None:
    end = next(iter(plain.tokenizer.eos_token_ids))
    params = SamplingParams(
        grammar=Grammar.regex("a+"), logit_bias={end: 1000}, ignore_eos=True, max_tokens=9
    )
    output = plain.generate("x", params)
    assert re.fullmatch("a{9,}", output.text)
    assert output.finish_reason == "length"


def test_tokenizer_without_an_end_follows_grammars_too(open_llm: Any, endless_bundle: Any) -> None:
    llm = open_llm(endless_bundle)
    output = llm.generate("x", SamplingParams(grammar=Grammar.regex("a{2}[bc]"), max_tokens=9))
    assert output.text in ("aab", "aac")
    assert output.finish_reason == "stop"


def test_grammar_of_the_empty_text_ends_at_once(plain: LLM) -> None:
    output = plain.generate("x", SamplingParams(grammar=Grammar.regex(""), max_tokens=9))
    assert (output.text, output.finish_reason) == ("", "stop")


def test_stops_and_limits_cut_an_answer_short(plain: LLM) -> None:
    grammar = Grammar.json_schema({"const": {"name": "abcdefgh"}})
    stopped = plain.generate("x", SamplingParams(grammar=grammar, stop="cde"))
    assert (stopped.text, stopped.finish_reason) == ('{"name":"ab', "stop")
    cut = plain.generate("x", SamplingParams(grammar=grammar, max_tokens=2))
    assert cut.finish_reason == "length"
    assert '{"name":"abcdefgh"}'.startswith(cut.text)


def test_bias_chooses_among_what_is_allowed(plain: LLM) -> None:
    (b,) = plain.tokenizer.encode("b")
    params = SamplingParams(grammar=Grammar.regex("[abc]{4}"), logit_bias={b: 100}, max_tokens=9)
    assert plain.generate("x", params).text == "bbbb"
    punished = SamplingParams(
        grammar=Grammar.regex("[abc]{3}"), frequency_penalty=2, presence_penalty=2, max_tokens=9
    )
    assert plain.generate("x", punished).error is None


def test_logprobs_are_those_of_what_is_allowed(plain: LLM) -> None:
    params = SamplingParams(grammar=Grammar.regex("x[ab]y"), logprobs=5, max_tokens=9)
    output = plain.generate("x", params)
    certain, chosen, last = output.logprobs
    assert (certain.logprob, last.logprob) == (0.0, 0.0)
    assert len(certain.top) == 1
    assert sorted(plain.tokenizer.decode([token]) for token, _ in chosen.top) == ["a", "b"]
    assert sum(2.718281828**value for _, value in chosen.top) == pytest.approx(1, abs=1e-4)


def test_drafter_learns_that_the_grammar_refuses_its_drafts(guessed: LLM) -> None:
    """Its drafts are never verified, and it is found to be wrong all the same."""
    engine = guessed.client.thread.engine  # type: ignore[attr-defined]
    (state,) = engine._speculator._states
    noted: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state._history(b""), "note", lambda _, right: noted.append(right))
        params = SamplingParams(grammar=Grammar.regex("[0-9]{12}"), max_tokens=20)
        output = guessed.generate("x", params)
    assert output.stats.drafted_tokens < len(noted)
    assert noted.count(False) > 5
