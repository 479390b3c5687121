"""A grammar behind another one: thoughts first, as long as the model likes."""

from __future__ import annotations

import json

import pytest

from nanoaccel import LLM, Grammar, SamplingParams
from nanoaccel.errors import SamplingError

THOUGHTS = "start: thoughts\nthoughts[lazy]: /[a-z ]{4,20}[.]/\n"
SCHEMA = {"type": "object", "properties": {"a": {"enum": [10, True]}}, "required": ["a"],
          "additionalProperties": False}  # fmt: skip
ANSWERS = [
    Grammar.json_schema(SCHEMA),
    Grammar.regex('\\{"a":10\\}'),
    Grammar.choice(['{"a":10}', '{"a":true}']),
    Grammar.lark('start: "{\\"a\\":" /10|true/ "}"'),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.kind)
def test_grammar_begins_behind_another(answer: Grammar, plain: LLM, guessed: LLM) -> None:
    params = SamplingParams(grammar=answer.after(THOUGHTS), temperature=1.0, seed=5)
    for prompt in ("one", "two", "three"):
        output = plain.generate(prompt, params)
        assert output.finish_reason == "stop"
        thoughts, _, rest = output.text.partition(".")
        assert 4 <= len(thoughts) <= 20
        assert json.loads(rest)["a"] in (10, True)
        assert guessed.generate(prompt, params).text == output.text


def test_what_stands_before_is_checked() -> None:
    with pytest.raises(SamplingError, match="unknown name"):
        Grammar.choice(["a"]).after("start: other")
    with pytest.raises(SamplingError, match="multipleOf"):
        Grammar.choice(["a"]).after('start: %json {"multipleOf": 1000003}')
    with pytest.raises(SamplingError, match="bytes"):
        Grammar.choice(["a"]).after('start: "' + "a" * 300_000 + '"')
    assert Grammar.choice(["a"]).after('start: "b"') != Grammar.choice(["a"])
