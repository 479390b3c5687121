"""Whatever a model writes, its calls are of the tools and their arguments follow the schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.grammar_llms import JsonBackend, guesses_of, write_bundle

from nanoaccel import LLM, SamplingParams, registry
from nanoaccel.runtime.engine import assembly
from nanoaccel.server.chat import Reply
from nanoaccel.server.chat.families.form import Wanted
from nanoaccel.server.chat.families.table import CALLS, HARMONY, form_of
from nanoaccel.server.chat.families.tools import Tool, checked_tools
from nanoaccel.server.chat.spelling import Spelling
from nanoaccel.testing.drafters import Always, Guesser

_LEAVES: list[dict[str, Any]] = [
    {"type": "integer", "minimum": -9, "maximum": 99},
    {"type": "boolean"},
    {"enum": ["a", "b", None]},
    {"type": "string", "maxLength": 6},
    {"type": "string", "enum": ["red", "blue"]},
    {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
]


def random_tools(random: Random) -> tuple[Tool, ...]:
    """One to three tools with up to three arguments, some of them needed."""
    made = []
    for number in range(random.randint(1, 3)):
        names = random.sample(["city", "na", "x-y", "é"], random.randint(0, 3))
        schema = {
            "type": "object",
            "properties": {name: random.choice(_LEAVES) for name in names},
            "required": [name for name in names if random.random() < 0.5],
        }
        made.append({"function": {"name": f"f{number}" * (number + 1), "parameters": schema}})
    return checked_tools(made)


def tools_for(parser: str, seed: int) -> tuple[Tool, ...]:
    """Random tools that a form can say."""
    random = Random(f"{parser} {seed}")
    while True:
        tools = random_tools(random)
        beyond_gemma = any(word in str(tools) for word in ("Items", "Length", "é", "None"))
        if parser != "gemma" or not beyond_gemma:
            return tools


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[LLM]]:
    """The same random model without speculation, and with a drafter that often guesses wrong."""
    folder = write_bundle(tmp_path_factory.mktemp("random") / "bundle", marks=["[TOOL_CALLS]"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry.BACKENDS, "resolve", lambda _: JsonBackend)
        patch.setattr(assembly, "measure_verification", lambda *_, **__: None)
        with LLM(Path(folder), speculation="off") as plain:
            guesser = Guesser(guesses_of(folder))
            patch.setattr(assembly, "select_drafters", lambda *_: {"ngram": lambda _: guesser})
            patch.setattr(assembly, "Controller", lambda _, pad: Always(pad))
            with LLM(Path(folder)) as guessed:
                yield [plain, guessed]


@pytest.mark.parametrize("parser", [*CALLS, HARMONY])
@pytest.mark.parametrize("seed", range(4))
def test_calls_of_random_models_are_valid(parser: str, seed: int, models: list[LLM]) -> None:
    tools = tools_for(parser, seed)
    form = form_of([], parser, "none")
    wanted = Wanted("", tools, must_call=True, several=seed % 2 == 0)
    grammar = form.grammar(wanted, Spelling(models[0].tokenizer.added_tokens))
    params = SamplingParams(
        grammar=grammar, temperature=1.0, seed=seed, max_tokens=350, skip_special_tokens=False
    )
    outputs = [model.generate("prompt", params) for model in models]
    assert outputs[0].text == outputs[1].text
    reader = form.reader(wanted)
    finish = "stop" if outputs[0].finish_reason == "stop" else "length"
    reply = Reply.of(reader.feed(outputs[0].text) + reader.end(finish))
    assert parser == HARMONY or not reply.content  # gpt-oss may say something before
    schemas = {tool.name: tool.schema for tool in tools}
    whole = reply.calls if finish == "stop" else reply.calls[:-1]
    assert reply.finish_reason == ("tool_calls" if finish == "stop" else "length")
    for call in whole:
        Draft202012Validator(schemas[call.name]).validate(json.loads(call.arguments))
