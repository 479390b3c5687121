"""Chats in the styles of well-known models are, to the letter, what transformers makes of them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.byte_tokenizers import byte_tokenizer

from nanoaccel.errors import RequestError
from nanoaccel.text import ChatOptions, ChatTemplate, Tokenizer

transformers = pytest.importorskip("transformers")

# Written anew in the styles of well-known models; a file's own last line end is no part of it.
STYLES = {
    path.stem.replace("_", " "): path.read_text(encoding="utf-8").removesuffix("\n")
    for path in sorted((Path(__file__).parent / "chat_styles").glob("*/*.jinja"))
}
SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

_USER = {"role": "user", "content": "  What is 2 < 3 & 'é'?\n\nTell me. "}
_SYSTEM = {"role": "system", "content": "Be brief.\n"}
_ASSISTANT = {"role": "assistant", "content": "Yes, <b>true</b> 👍 \n"}
_THOUGHT = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nTrue.", "thinking": "Hm."}
_CALL = {
    "type": "function",
    "id": "abcdef123",
    "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2}},
}
_TEXT_CALL = {**_CALL, "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}}
_CALLS = {"role": "assistant", "content": None, "tool_calls": [_CALL]}
_RESULT = {"role": "tool", "name": "weather", "content": '{"sun": true}', "tool_call_id": "abc"}
_PARTS = [{"type": "text", "text": "Look: "}, {"type": "image"}, {"type": "text", "text": "a cat"}]
_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a <city>",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "enum": ["Zürich", "Rome"]},
                "days": {"type": "array", "items": {"type": "integer"}},
            },
            "required": ["city"],
        },
    },
}
_DOCUMENTS = [
    {"doc_id": 1, "title": "Tides", "text": "Twice a day."},
    {"doc_id": 2, "title": "Été", "text": "{{ hot }}"},
]

CHATS: dict[str, list[dict[str, Any]]] = {
    "one turn": [_USER],
    "system": [_SYSTEM, _USER],
    "several turns": [_USER, _ASSISTANT, _USER, _THOUGHT, _USER],
    "all": [_SYSTEM, _USER, _ASSISTANT, _USER],
    "calls": [_USER, _CALLS, _RESULT, _ASSISTANT],
    "calls without content": [_USER, {k: v for k, v in _CALLS.items() if k != "content"}, _RESULT],
    "two calls": [_USER, {**_CALLS, "tool_calls": [_CALL, _TEXT_CALL]}, _RESULT, _RESULT],
    "arguments as text": [_SYSTEM, _USER, {**_CALLS, "tool_calls": [_TEXT_CALL]}, _RESULT],
    "parts": [_SYSTEM, {"role": "user", "content": _PARTS}],
    "a mapping as result": [_USER, _CALLS, {**_RESULT, "content": {"sun": True}}],
    "two users": [_USER, _USER],
    "assistant first": [_ASSISTANT, _USER],
    "to be continued": [_USER, _ASSISTANT],
    "parts to be continued": [_USER, {"role": "assistant", "content": _PARTS}],
    "empty": [{"role": "user", "content": ""}],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no answer": {"add_generation_prompt": False},
    "tools": {"tools": [_TOOL, _TOOL]},
    "no tools": {"tools": []},
    "documents": {"documents": _DOCUMENTS},
    "all": {"tools": [_TOOL], "documents": _DOCUMENTS, "enable_thinking": False},
    "variables": {"enable_thinking": False, "reasoning_effort": "high", "bos_token": "<BOS>"},
    "continued": {"continue_final_message": True, "add_generation_prompt": False},
}


@cache
def _reference() -> Any:
    return transformers.PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer(), **SPECIAL_TOKENS)


@cache
def _template(source: str) -> ChatTemplate:
    return ChatTemplate(source, SPECIAL_TOKENS)


def _chat_options(given: dict[str, Any]) -> ChatOptions:
    own = ("tools", "documents", "add_generation_prompt", "continue_final_message")
    variables = {name: value for name, value in given.items() if name not in own}
    known = {name: value for name, value in given.items() if name in own}
    return ChatOptions(template_kwargs=variables, **known)


def _render(source: str, chat: str, options: dict[str, Any]) -> str | None:
    """What we render; None for a refusal."""
    made = _chat_options(options)
    try:
        return _template(source).render(
            CHATS[chat],
            made.begins_answer,
            tools=made.tools,
            documents=made.documents,
            continue_final_message=made.continue_final_message,
            variables=made.template_kwargs,
        )
    except RequestError:
        return None


def _render_with_transformers(source: str, chat: str, options: dict[str, Any]) -> str | None:
    try:
        rendered: str = _reference().apply_chat_template(
            json.loads(json.dumps(CHATS[chat])),  # else it marks the end in every equal message
            chat_template=source,
            tokenize=False,
            **{"add_generation_prompt": True, **options},
        )
    except Exception:  # templates raise what they like
        return None
    return rendered


@pytest.mark.parametrize("name", STYLES)
def test_style_renders_as_in_transformers(name: str) -> None:
    refused = rendered = 0
    for chat in CHATS:
        for option, given in OPTIONS.items():
            expected = _render_with_transformers(STYLES[name], chat, given)
            assert _render(STYLES[name], chat, given) == expected, (chat, option)
            refused += expected is None
            rendered += expected is not None
    assert rendered >= 20


def test_styles_are_many_and_some_refuse() -> None:
    assert len(STYLES) >= 25
    assert _render(STYLES["llama 2"], "two users", {}) is None
    assert _render(STYLES["mistral v3"], "calls", {}) is not None


@pytest.mark.parametrize("tools", [None, [], [_TOOL]])
@pytest.mark.parametrize("name", [None, "default", "tool_use", "rag"])
@pytest.mark.parametrize("files", [True, False])
def test_named_templates_are_chosen_as_in_transformers(
    tmp_path: Path, name: str | None, tools: list[Any] | None, files: bool
) -> None:
    templates = {
        "default": STYLES["chatml"],
        "tool_use": STYLES["hermes"],
        "rag": STYLES["command r"],
    }
    reference = transformers.PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(), **SPECIAL_TOKENS
    )
    reference.chat_template = templates
    reference.save_pretrained(tmp_path, save_jinja_files=files)
    assert (tmp_path / "additional_chat_templates").is_dir() == files
    tokenizer = Tokenizer.load(tmp_path)
    expected = reference.apply_chat_template(
        CHATS["all"],
        tools=tools,
        chat_template=name,
        add_generation_prompt=True,
        return_dict=False,
    )
    options = ChatOptions(tools=tools, template=name)
    assert tokenizer.encode_chat(CHATS["all"], options=options) == expected
    with pytest.raises(RequestError, match=r"no chat template 'nope'.*default, rag, tool_use"):
        tokenizer.encode_chat(CHATS["all"], options=ChatOptions(template="nope"))


def test_special_tokens_of_any_name_are_variables(tmp_path: Path) -> None:
    reference = transformers.PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(), **SPECIAL_TOKENS
    )
    reference.chat_template = "{{ bos_token }}{{ image_token }}{{ tool_token }}{{ pad_token }}"
    reference.save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"image_token": "<img>", "pad_token": "<pad>"}
    config["extra_special_tokens"] = {"tool_token": "<tool>"}
    path.write_text(json.dumps(config), encoding="utf-8")
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    expected = loaded.apply_chat_template(CHATS["one turn"], return_dict=False)
    assert Tokenizer.load(tmp_path).encode_chat(CHATS["one turn"]) == expected
