"""Replies as families write them: what a model's text is, and what must be found in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nanoaccel.server.chat.families.tools import checked_tools

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "weather_now"}},
]
CHECKED = checked_tools(TOOLS)
BERN, BOTH = '{"city": "Bern"}', '{"city": "a \\"b\\" }</x>", "days": 3}'


@dataclass(frozen=True)
class Written:
    """A text and what it is.

    Args:
        parser: Form of its calls.
        text: The text.
        calls: Names and arguments.
        content: What stands before them.
    """

    parser: str
    text: str
    calls: tuple[tuple[str, str], ...]
    content: str = ""


def _deepseek(name: str) -> str:
    return f"<\uff5ctool\u2581{name}\uff5c>"


_BEGIN, _CALL = _deepseek("calls\u2581begin"), _deepseek("call\u2581begin")
_SEP = _deepseek("sep")
_CALL_END, _END = _deepseek("call\u2581end"), _deepseek("calls\u2581end")

WRITTEN = [
    Written(
        "hermes",
        f'Let me see.\n<tool_call>\n{{"name": "weather", "arguments": {BERN}}}\n</tool_call>\n'
        '<tool_call>\n{"name": "weather_now", "arguments": {}}\n</tool_call>',
        (("weather", BERN), ("weather_now", "{}")),
        "Let me see.",
    ),
    Written(
        "llama", f'{{"name": "weather", "parameters": {BOTH}}}', (("weather", BOTH),)
    ),
    Written(
        "mistral",
        f"[TOOL_CALLS]weather[ARGS]{BERN}[TOOL_CALLS]weather_now[ARGS]{{}}",
        (("weather", BERN), ("weather_now", "{}")),
    ),
    Written(
        "mistral-list",
        f'[TOOL_CALLS] [{{"name": "weather", "arguments": {BOTH}}}, '
        '{"name": "weather_now", "arguments": {}}]',
        (("weather", BOTH), ("weather_now", "{}")),
    ),
    Written(
        "granite",
        f'<|tool_call|>[{{"name": "weather", "arguments": {BERN}}}]',
        (("weather", BERN),),
    ),
    Written(
        "nemotron",
        f'<TOOLCALL>[{{"name": "weather", "arguments": {BERN}}}]</TOOLCALL>',
        (("weather", BERN),),
    ),
    Written(
        "apriel",
        f'<tool_calls>[{{"name": "weather", "arguments": {BERN}}}]</tool_calls>',
        (("weather", BERN),),
    ),
    Written(
        "deepseek",
        f"Ja{_BEGIN}{_CALL}weather{_SEP}{BERN}{_CALL_END}"
        f"{_CALL}weather_now{_SEP}{{}}{_CALL_END}{_END}",
        (("weather", BERN), ("weather_now", "{}")),
        "Ja",
    ),
    Written(
        "deepseek-fenced",
        f"{_BEGIN}{_CALL}function{_SEP}weather\n```json\n{BERN}\n```{_CALL_END}{_END}",
        (("weather", BERN),),
    ),
    Written(
        "qwen-coder",
        "So:\n\n<tool_call>\n<function=weather>\n<parameter=city>\n"
        'Bern "x"\n\\<b>\n</parameter>\n'
        "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n"
        "<function=weather_now>\n</function>\n</tool_call>",
        (("weather", '{"city": "Bern \\"x\\"\\n\\\\<b>", "days": 3}'), ("weather_now", "{}")),
        "So:",
    ),
    Written(
        "seed",
        "<seed:tool_call>\n<function=weather>\n<parameter=city>Bern</parameter>\n</function>\n"
        "</seed:tool_call>",
        (("weather", BERN),),
    ),
    Written(
        "glm",
        "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n"
        "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
        (("weather", '{"city": "Bern", "days": 3}'),),
    ),
    Written(
        "glm-compact",
        "<tool_call>weather<arg_key>city</arg_key><arg_value>Bern</arg_value>"
        "<arg_key>days</arg_key><arg_value>3</arg_value></tool_call>"
        "<tool_call>weather_now</tool_call>",
        (("weather", '{"city": "Bern", "days": 3}'), ("weather_now", "{}")),
    ),
    Written(
        "gemma",
        'Ja<|tool_call>call:weather{city:<|"|>a "b" }</x><|"|>,days:3}<tool_call|>'
        "<|tool_call>call:weather_now{}<tool_call|>",
        (("weather", BOTH), ("weather_now", "{}")),
        "Ja",
    ),
    Written(
        "harmony",
        "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>commentary "
        f"to=functions.weather <|constrain|>json<|message|>{BERN}",
        (("weather", BERN),),
        "I look.",
    ),
]  # fmt: skip
