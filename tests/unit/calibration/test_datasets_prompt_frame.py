"""What a model is given, so that it writes text of its own."""

from __future__ import annotations

import pytest
from support.encoders import CharacterEncoder, decode

from nanoaccel.calibration.datasets import PromptFrame
from nanoaccel.errors import ConfigError

END = ord("|")


def _read(script: PromptFrame) -> tuple[str, list[str]]:
    return decode(script.opening), [decode(bridge) for bridge in script.bridges]


def test_a_chat_model_writes_questions_and_answers_in_turn() -> None:
    script = PromptFrame.of(CharacterEncoder(chat=True), [END])
    assert _read(script) == ("[user]", ["|[assistant]", "|[user]"])
    assert script.end_ids == {END}


def test_a_chat_model_whose_questions_have_no_end_goes_on_by_itself() -> None:
    class Instructed(CharacterEncoder):
        def render(self, messages: object) -> str:
            question, answer = (message["content"] for message in messages)  # type: ignore[attr-defined]
            return f"^<{question}>{answer}|"

    assert _read(PromptFrame.of(Instructed(), [END])) == ("^<", ["|^<"])


@pytest.mark.parametrize(
    ("begin", "ends", "expected"),
    [
        ("^", [END], ("^", ["|^"])),
        ("^", [], ("^", ["^"])),
        ("", [END], ("|", ["|"])),
        ("^", [END, ord("#")], ("^", ["|^"])),
    ],
)
def test_a_plain_model_begins_again_behind_an_end(
    begin: str, ends: list[int], expected: tuple[str, list[str]]
) -> None:
    assert _read(PromptFrame.of(CharacterEncoder(begin), ends)) == expected


def test_a_template_that_changes_what_is_said_is_not_used() -> None:
    class Loud(CharacterEncoder):
        def render(self, messages: object) -> str:
            return str(messages).upper()

    assert _read(PromptFrame.of(Loud("^"), [END])) == ("^", ["|^"])


def test_a_model_without_begin_and_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="no token begins or ends one"):
        PromptFrame.of(CharacterEncoder(), [])
