"""What grammars of calls let through, with marks that are tokens and marks that are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.grammar_llms import EOS, write_tokenizer
from support.replies import CHECKED, WRITTEN, Written

from nanoaccel.runtime.sampling.grammar import Grammar, GrammarCompiler
from nanoaccel.server.api_error import ApiError
from nanoaccel.server.chat.families.form import ReplyForm, Wanted
from nanoaccel.server.chat.families.table import CALLS, THINKING, form_of
from nanoaccel.server.chat.families.tools import checked_tools
from nanoaccel.server.chat.reading.harmony import MARKS
from nanoaccel.server.chat.spelling import Spelling
from nanoaccel.text import Tokenizer

TOKENS = sorted(
    {call.trigger for call in CALLS.values() if call.trigger != "{"}
    | {mark for thinking in THINKING.values() for mark in thinking.marks}
    | {"</tool_call>", "[ARGS]", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", *MARKS,
       '<|"|>', "<tool_call|>"}
    | set(CALLS["deepseek"].marks[2:4])
)  # fmt: skip


class Judge:
    """Says whether texts follow grammars, token by token.

    Args:
        tokenizer: Writes the tokens.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.spelling = Spelling(tokenizer.added_tokens)
        self._compiler = GrammarCompiler(tokenizer)
        self._size = tokenizer.vocab_size
        self._ends = [tokenizer.added_tokens[EOS]]

    def allowed(self, grammar: Grammar, text: str) -> tuple[int, bool]:
        """Characters that may stand there, from the first, and whether it may end behind them."""
        mask = self._compiler.compile(grammar).begin(self._ends, self._size)
        tokens = self.tokenizer.encode(text, add_special_tokens=False)
        count = mask.count_valid(tokens)
        for token in tokens[:count]:
            mask.accept(token)
        may_end = mask.count_valid(self._ends) == 1 or mask.is_complete
        return len(self.tokenizer.decode(tokens[:count], skip_special_tokens=False)), may_end

    def takes(self, grammar: Grammar, text: str) -> bool:
        return self.allowed(grammar, text) == (len(text), True)


@pytest.fixture(scope="module", params=[True, False], ids=["tokens", "spelled"])
def judge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder, marks=TOKENS if request.param else ())
    return Judge(Tokenizer.load(folder))


def form(tools: str = "none", reasoning: str = "none") -> ReplyForm:
    return form_of([], tools, reasoning)


def grammar_of(found: ReplyForm, judge: Judge, **wanted: Any) -> Grammar:
    wanted = {"prompt": "", "tools": CHECKED, **wanted}
    grammar = found.grammar(Wanted(**wanted), judge.spelling)
    assert grammar is not None
    return grammar


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.parser)
def test_grammar_takes_what_the_family_writes(written: Written, judge: Judge) -> None:
    grammar = grammar_of(form(written.parser), judge)
    assert judge.allowed(grammar, written.text) == (len(written.text), True)


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.parser)
def test_grammar_holds_calls_to_tools(written: Written, judge: Judge) -> None:
    grammar = grammar_of(form(written.parser), judge)
    for wrong in ("wheather", "weather_no"):
        text = written.text.replace("weather", wrong, 1)
        size, _ = judge.allowed(grammar, text)
        assert size <= text.index(wrong) + len("weather_no")
        assert not judge.takes(grammar, text)
    if "Bern" in written.text and "{" in written.text:
        assert not judge.takes(grammar, written.text.replace('"Bern"', "1"))
        assert not judge.takes(grammar, written.text.replace('"city"', '"town"'))


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.parser)
def test_grammar_forces_calls(written: Written, judge: Judge) -> None:
    text = written.text.removeprefix(written.content).lstrip()
    found = form(written.parser)
    required = grammar_of(found, judge, must_call=True)
    assert judge.takes(required, text)
    answer = "<|channel|>final<|message|>No" if written.parser == "harmony" else "No"
    assert not judge.takes(required, answer)
    assert judge.takes(grammar_of(found, judge), answer)
    only = grammar_of(found, judge, must_call=True, only="weather_now")
    assert not judge.takes(only, text)
    single = grammar_of(found, judge, several=False)
    assert judge.takes(single, text) is (len(written.calls) == 1)


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.parser)
def test_grammar_of_an_answer_stands_beside_calls(written: Written, judge: Judge) -> None:
    answer = Grammar.json_schema({"type": "object", "properties": {"a": {"type": "integer"}},
                                  "required": ["a"], "additionalProperties": False})  # fmt: skip
    found = form(written.parser)
    if written.parser == "llama":
        with pytest.raises(ApiError, match="writes calls as JSON"):
            grammar_of(found, judge, answer=answer)
        return
    grammar = grammar_of(found, judge, answer=answer)
    lead = "<|channel|>final<|message|>" if written.parser == "harmony" else ""
    assert judge.takes(grammar, lead + '{"a":1}')
    assert not judge.takes(grammar, lead + "No")
    assert judge.takes(grammar, written.text.removeprefix(written.content).lstrip())


@pytest.mark.parametrize("parser", THINKING)
def test_grammar_begins_behind_thoughts(parser: str, judge: Judge) -> None:
    found, (begin, end) = form(reasoning=parser), THINKING[parser].marks
    answer = Grammar.choice(["Yes", "No"])
    closed = grammar_of(found, judge, tools=(), answer=answer)
    for text in ("Yes", f"{begin}Why not? No{end}\n\nYes", f"{begin}{end}No"):
        assert judge.takes(closed, text)
        assert not judge.takes(closed, text[:-1])
        assert not judge.takes(closed, text + "!")
    assert not judge.takes(closed, f"{begin}Why not?")
    opened = grammar_of(found, judge, tools=(), answer=answer, prompt=f"Hi {begin}\n")
    assert judge.takes(opened, f"Why not?{end}\n\nYes")
    assert not judge.takes(opened, f"Why not?{end}\n\nWell")
    assert not judge.takes(opened, "Yes")
    over = grammar_of(found, judge, tools=(), answer=answer, prompt=f"Hi {begin}\n\n{end}\n\n")
    assert over == answer


def test_grammar_begins_in_the_final_channel(judge: Judge) -> None:
    grammar = grammar_of(form("harmony"), judge, tools=(), answer=Grammar.choice(["Yes", "No"]))
    thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
    final = "<|channel|>final<|message|>"
    assert judge.takes(grammar, f"{thought}{final}Yes")
    assert judge.takes(grammar, f"{final}No")
    assert not judge.takes(grammar, f"{thought}{final}Maybe")
    assert not judge.takes(grammar, "Yes")


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written.parser)
@pytest.mark.parametrize("opened", [False, True])
def test_calls_stand_behind_thoughts(written: Written, opened: bool, judge: Judge) -> None:
    if written.parser == "harmony":
        return
    found = form(written.parser, "think")
    grammar = grammar_of(found, judge, prompt="<think>" if opened else "")
    text = f"Hm.</think>\n\n{written.text}"
    assert judge.takes(grammar, text if opened else f"<think>{text}")
    assert not judge.takes(grammar, ("" if opened else "<think>") + text.replace("weather", "x"))


@pytest.mark.parametrize(
    ("tool", "problem"),
    [
        ({"name": "a b"}, "is named 'a b'"),
        ({"name": ""}, "is named ''"),
        ({"name": "f", "parameters": []}, "no JSON schema of an object"),
        ({"name": "f", "parameters": {"type": "string"}}, "no JSON schema of an object"),
        (
            {"name": "f", "parameters": {"properties": {"a": {"format": "own", "type": "string"}}}},
            "parameters of 'f' cannot be enforced: .*Unknown format: own",
        ),
    ],
)
def test_tools_that_cannot_be_enforced_are_refused(tool: dict[str, Any], problem: str) -> None:
    with pytest.raises(ApiError, match=problem) as refused:
        checked_tools([{"type": "function", "function": {"name": "ok"}},
                       {"type": "function", "function": tool}])  # fmt: skip
    assert "tools[1]" in refused.value.message


def test_tools_with_one_name_are_refused() -> None:
    with pytest.raises(ApiError, match="two functions named 'f'"):
        checked_tools([{"type": "function", "function": {"name": "f"}}] * 2)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"anyOf": [{}]}, "anyOf stands beside"),
        ({"required": ["b"], "additionalProperties": True}, "'b' is required"),
        ({"properties": {"a>b": {}}}, "'a>b' stands in no tag"),
    ],
)
def test_tags_refuse_what_they_cannot_say(
    schema: dict[str, Any], problem: str, judge: Judge
) -> None:
    tools = checked_tools([{"function": {"name": "f", "parameters": schema}}])
    with pytest.raises(ApiError, match=problem):
        grammar_of(form("qwen-coder"), judge, tools=tools)


def test_gemma_writes_nested_values(judge: Judge) -> None:
    point = {"type": "object", "properties": {"x": {"type": "number"}, "a": {"$ref": "#/$defs/c"}},
             "required": ["x"]}  # fmt: skip
    schema = {
        "properties": {
            "points": {"type": "array", "items": point},
            "unit": {"type": "string", "enum": ["C", "F"]},
            "any": {"anyOf": [{"type": "boolean"}, {"type": "string"}]},
        },
        "required": ["points"],
        "$defs": {"c": {"type": "integer", "minimum": 1}},
    }
    tools = checked_tools([{"function": {"name": "f", "parameters": schema}}])
    found = form("gemma")
    grammar = grammar_of(found, judge, tools=tools)
    values = '{any:<|"|>}]<|"|>,points:[{x:1.5},{a:2,x:-1}],unit:<|"|>F<|"|>}'
    good = f"<|tool_call>call:f{values}<tool_call|>"
    assert judge.takes(grammar, good)
    assert judge.takes(grammar, "<|tool_call>call:f{points:[]}<tool_call|>")
    for bad in ("{}", "{points:[{}]}", "{points:[{a:0,x:1}]}", '{points:[],unit:<|"|>K<|"|>}',
                "{any:1,points:[]}", "{,points:[]}"):  # fmt: skip
        assert not judge.takes(grammar, f"<|tool_call>call:f{bad}<tool_call|>")
    parts = found.reader(Wanted("", tools)).feed(good)
    arguments = "".join(getattr(part, "text", "") for part in parts)
    assert json.loads(arguments) == {
        "any": "}]", "points": [{"x": 1.5}, {"a": 2, "x": -1}], "unit": "F"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"format": "date", "type": "string"}, "it holds format"),
        ({"type": "array", "maxItems": 3, "items": {}}, "it holds maxItems"),
        ({}, "a value has no type"),
        ({"type": "object", "properties": {"a b": {}}}, "'a b' is a member"),
    ],
)
def test_gemma_refuses_what_it_cannot_say(
    schema: dict[str, Any], problem: str, judge: Judge
) -> None:
    parameters = {"type": "object", "properties": {"a": schema}}
    tools = checked_tools([{"function": {"name": "f", "parameters": parameters}}])
    with pytest.raises(ApiError, match=problem):
        grammar_of(form("gemma"), judge, tools=tools)


def test_tags_write_text_as_it_is_and_the_rest_as_json(judge: Judge) -> None:
    schema = {
        "properties": {
            "text": {"type": "string"},
            "unit": {"type": "string", "enum": ["C", "F"]},
            "short": {"type": "string", "maxLength": 2},
            "list": {"type": "array", "items": {"$ref": "#/$defs/n"}},
        },
        "$defs": {"n": {"type": "integer"}},
    }
    tools = checked_tools([{"function": {"name": "f", "parameters": schema}}])
    found = form("qwen-coder")
    grammar = grammar_of(found, judge, tools=tools)

    def call(**values: str) -> str:
        tags = "".join(
            f"<parameter={name}>\n{value}\n</parameter>\n" for name, value in values.items()
        )
        return f"<tool_call>\n<function=f>\n{tags}</function>\n</tool_call>"

    good = call(text='a\n"b" </parameter>', unit="F", short='"\\n"', list="[1, 2]")
    assert judge.takes(grammar, good)
    assert judge.takes(grammar, call())
    for bad in (call(unit="K"), call(short='"abc"'), call(list="[a]"), call(other="1")):
        assert not judge.takes(grammar, bad)
    parts = found.reader(Wanted("", tools)).feed(good)
    arguments = "".join(getattr(part, "text", "") for part in parts)
    assert json.loads(arguments) == {
        "text": 'a\n"b" </parameter>', "unit": "F", "short": "\n", "list": [1, 2]
    }  # fmt: skip
