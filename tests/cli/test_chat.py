from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.cli.chat.commands import as_command, obey
from nanoaccel.cli.chat.conversation import Conversation
from nanoaccel.cli.chat.dialogue import talk
from nanoaccel.cli.chat.input import ChatInput
from nanoaccel.cli.commands import chat as chat_file
from nanoaccel.errors import ConfigError, PromptTooLongError
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def llm(letters: Path) -> Iterator[LLM]:
    with LLM(letters) as opened:
        yield opened


def _answer(conversation: Conversation, text: str) -> str:
    pieces: list[str] = []
    conversation.answer(text, pieces.append)
    return "".join(pieces)


def test_conversation_keeps_the_history(llm: LLM) -> None:
    conversation = Conversation(llm, SamplingParams(max_tokens=3), None)
    assert _answer(conversation, "hi") == "abc"
    assert _answer(conversation, "more") == "abc"
    assert [message["content"] for message in conversation.messages] == ["hi", "abc", "more", "abc"]
    assert conversation.last is not None
    assert conversation.last.context == len("hi.abc.more.abc")


def test_conversation_computes_only_what_is_new(llm: LLM) -> None:
    conversation = Conversation(llm, SamplingParams(max_tokens=8), None)
    _answer(conversation, "a long first message")
    assert conversation.last is not None
    assert (conversation.last.prompt, conversation.last.cached) == (21, 0)
    _answer(conversation, "more")
    assert conversation.last.prompt == len("a long first message.abcdefgh.more.")
    assert conversation.last.cached == 28  # whole blocks of 4 tokens; the last one was not fed
    assert "28 of 35 prompt tokens from the cache; " in conversation.describe_last()


def test_conversation_reset_keeps_the_system_message(llm: LLM) -> None:
    conversation = Conversation(llm, SamplingParams(max_tokens=3), "be brief")
    _answer(conversation, "hi")
    conversation.reset()
    assert conversation.messages == [{"role": "system", "content": "be brief"}]
    assert conversation.describe_last() == "nothing was said yet"


def test_conversation_that_is_stopped_keeps_the_part(llm: LLM) -> None:
    conversation = Conversation(llm, SamplingParams(), None)
    pieces: list[str] = []

    def write(piece: str) -> None:
        pieces.append(piece)
        if len(pieces) == 3:
            raise KeyboardInterrupt

    conversation.answer("hi", write)
    assert conversation.messages[-1] == {"role": "assistant", "content": "abc"}
    assert conversation.last is not None
    assert (conversation.last.finish_reason, conversation.last.speed) == ("cancelled", None)
    assert conversation.describe_last() == "last answer 3 tokens; context 6 of 128 tokens"


def test_conversation_forgets_a_message_without_answer(llm: LLM) -> None:
    conversation = Conversation(llm, SamplingParams(stop=("a",)), None)
    assert _answer(conversation, "hi") == ""
    assert conversation.messages == []


def test_conversation_survives_a_message_that_is_too_long(llm: LLM) -> None:
    conversation = Conversation(llm, SamplingParams(max_tokens=3), None)
    _answer(conversation, "hi")
    with pytest.raises(PromptTooLongError):
        _answer(conversation, "a" * 130)
    assert len(conversation.messages) == 2


def test_chat_answers_piped_lines_without_decoration(letters: Path, run_cli: Any) -> None:
    ended = run_cli("chat", letters, "--max-tokens", 3, stdin=b"hi\n\n  more  \n")
    assert (ended.code, ended.out) == (0, "abc\nabc\n")
    assert ended.err == "the answer was cut by --max-tokens\n" * 2


def test_chat_obeys_its_commands(letters: Path, run_cli: Any) -> None:
    lines = b"/stats\nhi\n/stats\n/reset\n/stats\n/what\n/help\n/exit\nnot read\n"
    ended = run_cli("chat", letters, "--system", "s", stdin=lines)
    assert (ended.code, ended.out) == (0, f"{ALPHABET}\n")
    told = ended.err.splitlines()
    assert told[0] == "nothing was said yet"
    assert told[1].startswith("last answer 27 tokens, ")
    assert told[1].endswith(
        "tokens/s, 0 of 5 prompt tokens from the cache; context 32 of 128 tokens"
    )
    assert told[2:4] == ["the conversation is forgotten", "nothing was said yet"]
    assert told[4] == "/what is no command; /help lists them"
    assert [line.split()[0] for line in told[5:]] == [
        *("/reset", "/stats", "/set", "/save", "/load", '"""', "/help", "/exit")
    ]


def test_chat_takes_a_path_as_text(letters: Path, run_cli: Any) -> None:
    ended = run_cli("chat", letters, "--max-tokens", 1, stdin=b"/etc/hosts\n")
    assert ended.out == "a\n"


def test_chat_says_when_the_context_is_full(letters: Path, run_cli: Any) -> None:
    lines = b"hi\n" + b"a" * 85 + b"\n" + b"b" * 99 + b"\n/reset\nhi\n"
    ended = run_cli("chat", letters, stdin=lines)
    assert ended.code == 0
    assert ended.out.splitlines() == [ALPHABET, ALPHABET[:12], ALPHABET]
    assert ended.err.splitlines() == [
        "the answer was cut: the context is full; /reset starts anew",
        "the conversation no longer fits the context: the prompt has 229 tokens; 127 fit; "
        "/reset starts anew",
        "the conversation is forgotten",
    ]


def test_chat_goes_on_after_an_answer_that_failed(
    letters: Path, alphabet: Any, run_cli: Any
) -> None:
    def fail() -> None:
        raise RuntimeError("the graph broke")

    alphabet.on_length[5] = fail
    ended = run_cli("chat", letters, stdin=b"hi\nhello\n")
    assert ended.code == 0
    assert ended.out == f"ab\n{ALPHABET}\n"
    logged, told = ended.err.splitlines()
    assert "nanoaccel.engine warning: a pass with 1 requests failed" in logged
    assert told == "error: RuntimeError: the graph broke"


def test_chat_interrupted_keeps_the_part_and_goes_on(
    letters: Path, alphabet: Any, press_ctrl_c: Any, run_cli: Any
) -> None:
    alphabet.on_length[5] = press_ctrl_c
    ended = run_cli("chat", letters, stdin=b"hi\n/stats\nhello\n")
    assert ended.code == 0
    first, second = ended.out.splitlines()
    assert first in ("a", "ab", "abc")
    assert second == ALPHABET
    assert ended.err.startswith(f"last answer {len(first)} tokens; context {3 + len(first)} of")


def test_chat_refuses_lines_that_are_no_utf8(letters: Path, run_cli: Any) -> None:
    ended = run_cli("chat", letters, stdin=b"hi\n\xff\n")
    assert ended.code == 2
    assert ended.err.startswith("error: standard input is not UTF-8")


def test_chat_needs_a_chat_template(letters: Path, run_cli: Any) -> None:
    (letters / "chat_template.jinja").unlink()
    ended = run_cli("chat", letters)
    assert ended.code == 1
    assert "has no chat template. Use: nanoaccel generate --raw" in ended.err


def test_chat_tells_what_the_template_refuses(letters: Path, run_cli: Any) -> None:
    (letters / "chat_template.jinja").write_text("{{ raise_exception('no system') }}")
    ended = run_cli("chat", letters, stdin=b"hi\n")
    assert ended.code == 0
    assert "refused the messages (no system)" in ended.err


def test_chat_without_standard_input_ends(
    letters: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChatInput, "message", lambda _: None)
    assert run_cli("chat", letters).code == 0
    monkeypatch.undo()
    monkeypatch.setattr(sys, "stdin", None)
    assert ChatInput(terminal=False).message() is None


@pytest.mark.parametrize("end", [[EOFError()], [KeyboardInterrupt(), KeyboardInterrupt()]])
def test_chat_on_a_terminal_leaves_politely(
    end: list[BaseException],
    letters: Path,
    run_cli: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    typed: list[object] = [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), " hi ", *end]

    def read(prompt: str) -> str:
        assert prompt == "> "
        line = typed.pop(0)
        if isinstance(line, BaseException):
            raise line
        return str(line)

    monkeypatch.setattr(builtins, "input", read)
    monkeypatch.setattr(chat_file, "talk", lambda conversation, _: talk(conversation, True))
    ended = run_cli("chat", letters, "--max-tokens", 2)
    assert (ended.code, ended.out) == (0, "ab\n\n")
    assert ended.err.startswith("error: the line is not UTF-8. Type it again\n")


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ("/set", ("/set", "")),
        ("/set temperature 0.5", ("/set", "temperature 0.5")),
        ("/save my talk.json", ("/save", "my talk.json")),
        ("/what", ("/what", "")),
        ("/help me with this", None),
        ("/etc/hosts", None),
        ("/set a\nof lines", None),
    ],
)
def test_as_command_tells_commands_from_messages(
    message: str, command: tuple[str, str] | None
) -> None:
    assert as_command(message) == command


def test_set_changes_how_answers_are_sampled(llm: LLM) -> None:
    conversation = Conversation(llm, SamplingParams(max_tokens=3), None)
    assert obey("/set", "max_tokens 5", conversation) == "max_tokens is 5"
    assert _answer(conversation, "hi") == "abcde"
    assert obey("/set", "--max-tokens=2", conversation) == "max_tokens is 2"
    assert obey("/set", "stop d", conversation) == "stop is 'd'"
    assert obey("/set", "ignore_eos on", conversation) == "ignore_eos is on"
    assert obey("/set", "top_p 0.9", conversation) == "top_p is 0.9"
    assert obey("/set", "max_tokens default", conversation).startswith("max_tokens is ")
    assert conversation.params.max_tokens == SamplingParams().max_tokens
    shown = dict(line.split() for line in obey("/set", "", conversation).splitlines())
    assert shown["top_p"] == "0.9"
    assert shown["seed"] == "default"


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("temprature 1", "Did you mean 'temperature'?"),
        ("temperature hot", "temperature 'hot' is not a number"),
        ("temperature -1", "temperature=-1.0 is out of range"),
        ("top_k 1.5", "top_k '1.5' is not a whole number"),
        ("ignore_eos maybe", "is not on or off"),
        ("seed", "/set seed has no value"),
    ],
)
def test_set_refuses_what_is_wrong_and_changes_nothing(argument: str, told: str, llm: LLM) -> None:
    params = SamplingParams(max_tokens=3)
    conversation = Conversation(llm, params, None)
    with pytest.raises(ConfigError) as caught:
        obey("/set", argument, conversation)
    assert told in str(caught.value)
    assert conversation.params == params


def test_save_and_load_go_on_with_a_conversation(llm: LLM, tmp_path: Path) -> None:
    file = tmp_path / "my talk.json"
    first = Conversation(llm, SamplingParams(max_tokens=3), "be brief")
    _answer(first, "hé")
    assert obey("/save", str(file), first) == f"saved 3 messages in {file}"
    assert obey("/save", str(file), first) == f"saved 3 messages in {file}"
    second = Conversation(llm, SamplingParams(max_tokens=3), None)
    assert obey("/load", str(file), second) == f"loaded 3 messages from {file}"
    assert second.messages == first.messages
    second.reset()
    assert second.messages == [{"role": "system", "content": "be brief"}]


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"messages": 3}', '[{"role": "user"}]'])
def test_save_and_load_leave_other_files_alone(content: str, llm: LLM, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(content)
    conversation = Conversation(llm, SamplingParams(max_tokens=3), None)
    for command in ("/save", "/load"):
        with pytest.raises(ConfigError, match="is no conversation"):
            obey(command, str(file), conversation)
    assert file.read_text() == content


def test_chat_goes_on_after_a_file_that_is_not_there(letters: Path, run_cli: Any) -> None:
    lines = b"/load no such file\n/save\n/save /proc/x/y\nhi\n"
    ended = run_cli("chat", letters, "--max-tokens", 1, stdin=lines)
    assert (ended.code, ended.out) == (0, "a\n")
    told = ended.err.splitlines()
    assert told[0] == (
        "error: no such file cannot be read: No such file or directory. "
        "Name a file that /save wrote"
    )
    assert told[1] == "error: /save names no file. Write it as: /save FILE"
    assert told[2].startswith("error: /proc/x/y cannot be written: ")
