"""The form of a model is found in what its chat template says."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from nanoaccel.cli.options.parsers import ParserOptions
from nanoaccel.errors import ConfigError
from nanoaccel.server.chat.families.form import MarkedForm
from nanoaccel.server.chat.families.harmony import HarmonyForm
from nanoaccel.server.chat.families.table import (
    CALLS,
    REASONING_PARSERS,
    THINKING,
    TOOL_PARSERS,
    form_of,
)
from nanoaccel.server.config import ServerConfig

_CALLS_BEGIN = CALLS["deepseek"].trigger


@pytest.mark.parametrize(
    ("template", "calls", "thinking"),
    [
        ('<tool_call>\\n{\\"name\\": \\"f\\", \\"arguments\\": {}}\\n</tool_call>', "hermes", None),
        ("'<tool_call>\\n{\"name\": \"' '\", \"arguments\": ' '</think>'", "hermes", "think"),
        ("<tool_call>\\n<function=f>\\n<parameter=p>\\n", "qwen-coder", None),
        ("<tool_call>{{ name }}\n<arg_key>k</arg_key>\n<arg_value>", "glm", None),
        ("<tool_call>{{ name }}<arg_key>k</arg_key><arg_value>", "glm-compact", None),
        ("<|start_header_id|> {{- '\"parameters\": ' }}", "llama", None),
        ("<|start_header_id|>", None, None),
        ('{{ "[TOOL_CALLS][" }}', "mistral-list", None),
        ("{{- name + '[ARGS]' + arguments }} [TOOL_CALLS] [THINK]", "mistral", "mistral"),
        ("respond with <|tool_call|> followed by a JSON list", "granite", None),
        ("Here is my thought process: Here is my response:", None, "granite"),
        (f"{_CALLS_BEGIN} '```json'", "deepseek-fenced", None),
        (f"{_CALLS_BEGIN} </think>", "deepseek", "think"),
        ("<seed:tool_call> <seed:think>", "seed", "seed"),
        ("<TOOLCALL>[", "nemotron", None),
        ("\\n<tool_calls>[ <tool_call> \"arguments", "apriel", None),
        ("<|tool_call>call:' <|channel>thought\\n", "gemma", "gemma"),
        ("{{ message.content }}", None, None),
    ],
)  # fmt: skip
def test_form_is_found_in_a_template(
    template: str, calls: str | None, thinking: str | None
) -> None:
    found = form_of([template])
    assert isinstance(found, MarkedForm)
    assert found.calls is (None if calls is None else CALLS[calls])
    assert found.thinking is (None if thinking is None else THINKING[thinking])


def test_form_of_gpt_oss_is_found_unless_another_is_named() -> None:
    template = "<|start|>assistant<|channel|>final<|message|>"
    assert isinstance(form_of([template]), HarmonyForm)
    assert isinstance(form_of(["x"], tools="harmony"), HarmonyForm)
    named = form_of([template], "hermes", "none")
    assert isinstance(named, MarkedForm)
    assert (named.calls, named.thinking) == (CALLS["hermes"], None)


def test_parsers_are_named_in_the_help_and_checked() -> None:
    for name, known in (("tool_parser", TOOL_PARSERS), ("reasoning_parser", REASONING_PARSERS)):
        (option,) = get_type_hints(ParserOptions, include_extras=True)[name].__metadata__
        told = option.help.partition(":" if name == "reasoning_parser" else "say:")[2]
        assert [word.strip(" .") for word in told.split(",")] == list(known)
        with pytest.raises(ConfigError, match=f"{name}='x' is unknown"):
            ServerConfig(bundles=("a",), **{name: "x"})  # type: ignore[arg-type]
