"""What the assistant wrote is marked, whatever a template makes of a conversation."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training_data import tokenizer_with

from nanoaccel.finetune.data.chat_mask import NoPlaceError, mark_answers
from nanoaccel.finetune.data.records import Conversation
from nanoaccel.testing.tiny_models import CHAT_TEMPLATE

pytestmark = pytest.mark.export

MESSAGES = (
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "1"},
    {"role": "user", "content": "Two?"},
    {"role": "assistant", "content": "22"},
    {"role": "user", "content": "never answered"},
)
# Thoughts of earlier answers are dropped, as Qwen3 and DeepSeek do.
FORGETS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' and not loop.last %}"
    "{{ message['content'].split('</think>')[-1] }}{% else %}{{ message['content'] }}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# A prompt begins the thoughts that an answer of the data may not have.
BEGINS = CHAT_TEMPLATE.replace("assistant\n{% endif %}", "assistant\n<think>{% endif %}")


def marked(folder: Path, template: str, messages: tuple[dict[str, str], ...]) -> list[list[str]]:
    """The parts that are learned, of each text."""
    texts = mark_answers(Conversation(messages), tokenizer_with(folder, template))
    return [[one.text[begin:end] for begin, end in one.spans] for one in texts]


def test_answers_are_marked_with_the_token_that_ends_them(tmp_path: Path) -> None:
    assert marked(tmp_path, CHAT_TEMPLATE, MESSAGES) == [["1<|im_end|>", "22<|im_end|>"]]


def test_nothing_behind_the_last_answer_is_read(tmp_path: Path) -> None:
    (text,) = mark_answers(Conversation(MESSAGES), tokenizer_with(tmp_path, CHAT_TEMPLATE))
    assert text.text.endswith("22<|im_end|>")


def test_an_answer_that_later_ones_change_has_a_text_of_its_own(tmp_path: Path) -> None:
    thinking = tuple(
        {**one, "content": f"<think>hm</think>{one['content']}"}
        if one["role"] == "assistant"
        else one
        for one in MESSAGES[:4]
    )
    assert marked(tmp_path, FORGETS, thinking) == [
        ["<think>hm</think>1<|im_end|>"],
        ["<think>hm</think>22<|im_end|>"],
    ]


def test_an_answer_begins_where_prompt_and_text_part(tmp_path: Path) -> None:
    assert marked(tmp_path, BEGINS, MESSAGES[:2]) == [["1<|im_end|>"]]
    thinking = ({**MESSAGES[0]}, {"role": "assistant", "content": "<think>hm</think>1"})
    assert marked(tmp_path, BEGINS, thinking) == [["hm</think>1<|im_end|>"]]


@pytest.mark.parametrize(
    ("template", "what"),
    [
        (
            "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}",
            "no place",
        ),
        (
            "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}",
            "changes what stands before it",
        ),
        ("{{ raise_exception('no assistants here') }}", "no assistants here"),
    ],
)
def test_a_template_without_a_place_for_the_answer_is_named(
    tmp_path: Path, template: str, what: str
) -> None:
    with pytest.raises(NoPlaceError, match=what):
        marked(tmp_path, template, MESSAGES)
