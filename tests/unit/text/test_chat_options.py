"""Options of a chat: what contradicts itself is refused when it is made."""

from __future__ import annotations

from typing import Any

import pytest

from nanoaccel.errors import ConfigError, RequestError
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.text import ChatOptions, ChatTemplate


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"tools": "weather"}, "tools is a str"),
        ({"tools": [len]}, r"tools\[0\] is a builtin_function"),
        ({"documents": ["text"]}, r"documents\[0\] is a str"),
        ({"template": 7}, "template=7 is no name"),
        ({"template_kwargs": {"messages": []}}, "template_kwargs holds 'messages'"),
        ({"template_kwargs": {3: 4}}, "template_kwargs holds 3"),
        ({"template_kwargs": [1]}, "template_kwargs is a list"),
        ({"continue_final_message": True, "add_generation_prompt": True}, "contradict each other"),
    ],
)
def test_chat_options_refuse(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ChatOptions(**options)


def test_request_options_take_no_plain_dict_as_chat() -> None:
    with pytest.raises(ConfigError, match=r"chat=\{\} is unknown"):
        RequestOptions(chat={})  # type: ignore[arg-type]


def test_chat_options_begin_an_answer_unless_the_last_message_goes_on() -> None:
    assert ChatOptions().begins_answer
    assert not ChatOptions(continue_final_message=True).begins_answer
    assert not ChatOptions(add_generation_prompt=False).begins_answer


def test_render_refuses_to_continue_what_is_not_there() -> None:
    messages = [{"role": "assistant", "content": None, "tool_calls": [{}]}]
    with pytest.raises(RequestError, match="the last message has no text"):
        ChatTemplate("{{ messages }}", {}).render(messages, False, continue_final_message=True)
    with pytest.raises(RequestError, match="leaves out the last message"):
        ChatTemplate("x", {}).render(
            [{"role": "user", "content": "a"}], False, continue_final_message=True
        )
