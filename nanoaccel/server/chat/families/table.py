"""Which form a model has: found in its chat template, or named by whoever runs the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nanoaccel.server.chat.families import json_calls as by_json
from nanoaccel.server.chat.families import tagged_calls as by_tags
from nanoaccel.server.chat.families.form import Calls, MarkedForm, ReplyForm
from nanoaccel.server.chat.families.gemma_calls import GemmaCalls
from nanoaccel.server.chat.families.harmony import HarmonyForm
from nanoaccel.server.chat.families.thinking import THINKING, Thinking

HARMONY, NONE = "harmony", "none"
CALLS: Mapping[str, Calls] = {
    "hermes": by_json.HERMES,
    "llama": by_json.LLAMA,
    "mistral": by_json.MISTRAL,
    "mistral-list": by_json.MISTRAL_LIST,
    "granite": by_json.GRANITE,
    "nemotron": by_json.NEMOTRON,
    "apriel": by_json.APRIEL,
    "deepseek": by_json.DEEPSEEK,
    "deepseek-fenced": by_json.DEEPSEEK_FENCED,
    "qwen-coder": by_tags.QWEN_CODER,
    "seed": by_tags.SEED,
    "glm": by_tags.GLM,
    "glm-compact": by_tags.GLM_COMPACT,
    "gemma": GemmaCalls(),
}
TOOL_PARSERS = (*CALLS, HARMONY, NONE)
REASONING_PARSERS = (*THINKING, HARMONY, NONE)

# What a template must hold, all of it, for a form; the first that fits is the model's.
_CALLS_IN_TEMPLATES: Sequence[tuple[str, tuple[str, ...]]] = (
    ("seed", ("seed:tool_call",)),
    ("glm", ("<tool_call>", "</arg_key>\n<arg_value>")),
    ("glm-compact", ("<tool_call>", "</arg_key><arg_value>")),
    ("qwen-coder", ("<tool_call>", "<function=", "<parameter=")),
    ("nemotron", ("<TOOLCALL>",)),
    ("gemma", ("<|tool_call>call:",)),
    ("apriel", ("<tool_calls>[",)),
    ("granite", ("<|tool_call|>",)),
    ("mistral", ("[TOOL_CALLS]", "[ARGS]")),
    ("mistral-list", ("[TOOL_CALLS]",)),
    ("deepseek-fenced", (by_json.DEEPSEEK.trigger, "```json")),
    ("deepseek", (by_json.DEEPSEEK.trigger,)),
    ("hermes", ("<tool_call>", '"arguments')),
    ("llama", ("<|start_header_id|>", '"parameters": ')),
)
_THINKING_IN_TEMPLATES: Sequence[tuple[str, str]] = (
    ("seed", "seed:think"),
    ("gemma", "<|channel>thought"),
    ("mistral", "[THINK]"),
    ("granite", "Here is my thought process:"),
    ("think", "</think>"),
)
_IN_HARMONY = "<|channel|>"


def form_of(
    templates: Sequence[str], tools: str | None = None, reasoning: str | None = None
) -> ReplyForm:
    """How a model writes replies.

    Args:
        templates: Its chat templates.
        tools: One of ``TOOL_PARSERS``; None looks into the templates.
        reasoning: One of ``REASONING_PARSERS``; None looks into the templates.
    """
    text = "\n".join(templates)
    if HARMONY in (tools, reasoning) or (
        tools is None and reasoning is None and _IN_HARMONY in text
    ):
        return HarmonyForm()
    return MarkedForm(_thinking(text, reasoning), _calls(text, tools))


def _calls(text: str, name: str | None) -> Calls | None:
    if name is not None:
        return CALLS.get(name)
    for found, needed in _CALLS_IN_TEMPLATES:
        if all(part in text for part in needed):
            return CALLS[found]
    return None


def _thinking(text: str, name: str | None) -> Thinking | None:
    if name is not None:
        return THINKING.get(name)
    for found, needed in _THINKING_IN_TEMPLATES:
        if needed in text:
            return THINKING[found]
    return None
