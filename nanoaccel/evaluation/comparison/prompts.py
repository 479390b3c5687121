"""Prompts that two models answer: of a text file, or of data that models learn from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanoaccel.errors import ConfigError, RequestError, SourceError
from nanoaccel.text import ChatOptions, Tokenizer

_LINES = (".jsonl", ".jsonlines", ".ndjson")
_ANSWERS = ("completion", "response", "answer")
_PARTING = "---"
_FORMS = "prompt or messages; 'nanoaccel data convert' makes messages of other forms"


@dataclass(frozen=True, slots=True)
class ComparisonPrompt:
    """A prompt, and the answer that it should have, where that is known.

    Args:
        where: File and line.
        messages: Each with a role and a content.
        expected: The answer that stands beside it; None where there is none.
        tools: Functions that the assistant may call, as chat templates take them.
    """

    where: str
    messages: tuple[Mapping[str, object], ...]
    expected: str | None = None
    tools: tuple[Mapping[str, object], ...] | None = None

    def text(self) -> str:
        """The prompt as a person reads it; of several messages, each behind its role."""
        if len(self.messages) == 1:
            return str(self.messages[0].get("content"))
        shown = (f"{one.get('role')}: {one.get('content') or ''}" for one in self.messages)
        return "\n\n".join(shown)

    def encode(self, tokenizer: Tokenizer, *, raw: bool) -> list[int]:
        """Token ids, by the chat template where there is one.

        Args:
            tokenizer: Of the model.
            raw: Whether a prompt of one message is continued as it is.

        Raises:
            RequestError: The chat template refuses it, or there is none for several messages.
        """
        alone = len(self.messages) == 1 and self.tools is None
        if alone and (raw or not tokenizer.has_chat_template):
            return tokenizer.encode(str(self.messages[0].get("content")))
        try:
            return tokenizer.encode_chat(self.messages, options=ChatOptions(tools=self.tools))
        except RequestError as error:
            raise RequestError(f"{self.where}: {error.problem}", error.remedy) from error


def read_prompts(file: str | Path, limit: int | None = None) -> list[ComparisonPrompt]:
    """The prompts of a file.

    A text file has one on each line; or, where lines of ``---`` part them, prompts of several
    lines. JSON lines have a ``prompt`` or ``messages``, as data to learn from has; the last
    answer of the assistant, or what stands beside the prompt as ``completion``, ``response`` or
    ``answer``, is the one that is expected.

    Args:
        file: A .jsonl file, or any other file of text.
        limit: Prompts to read at most; None is all.

    Raises:
        SourceError: It cannot be read, a line has another form, or there is no prompt in it.
        ConfigError: The limit is not 1 or more.

    Examples:
        >>> from nanoaccel.evaluation.comparison import read_prompts
        >>> _ = Path("prompts.txt").write_text("Why is the sky blue?\\nWho keeps the light?\\n")
        >>> [prompt.text() for prompt in read_prompts("prompts.txt")]
        ['Why is the sky blue?', 'Who keeps the light?']
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit={limit} is out of range", "It must be 1 or more")
    path = Path(file)
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise SourceError(
            f"cannot read {path}: {error.strerror}", "Name a file of prompts"
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 at byte {error.start}", "Convert it") from error
    read = _of_rows if path.suffix.lower() in _LINES else _of_text
    found = []
    for prompt in read(path, text):
        found.append(prompt)
        if len(found) == limit:
            break
    if not found:
        raise SourceError(f"{path} has no prompts", "Write one on each line")
    return found


def _of_text(path: Path, text: str) -> Iterator[ComparisonPrompt]:
    lines = text.split("\n")
    parted = any(line.strip() == _PARTING for line in lines)
    for number, block in _blocks(lines) if parted else enumerate(lines, 1):
        if block.strip():
            message = {"role": "user", "content": block.strip()}
            yield ComparisonPrompt(f"{path}, line {number}", (message,))


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The texts between lines that part them, each with the number of its first line."""
    begin = 1
    held: list[str] = []
    for number, line in enumerate([*lines, _PARTING], 1):
        if line.strip() != _PARTING:
            held.append(line)
            continue
        yield begin, "\n".join(held)
        begin, held = number + 1, []


def _of_rows(path: Path, text: str) -> Iterator[ComparisonPrompt]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            yield _of_row(where, json.loads(line))
        except json.JSONDecodeError as error:
            what = f"{where} is no JSON: {error.msg}, at its character {error.pos + 1}"
            raise SourceError(what, "Mend the line") from error
        except (ValueError, RecursionError) as error:  # a number or a nesting without end
            raise SourceError(f"{where} is no JSON: {error}", "Mend the line") from error


def _of_row(where: str, row: Any) -> ComparisonPrompt:
    if not isinstance(row, dict):
        raise SourceError(f"{where} is no object", f"Give it {_FORMS}")
    messages = _messages(row.get("prompt") if row.get("messages") is None else row["messages"])
    if not messages:
        raise SourceError(f"{where} has no prompt or messages", f"Give it {_FORMS}")
    expected = next((row[name] for name in _ANSWERS if isinstance(row.get(name), str)), None)
    if messages[-1]["role"] == "assistant":
        expected = messages.pop().get("content")
    if not messages:
        raise SourceError(f"{where} has an answer and no prompt", "Put a user's message before it")
    tools = row.get("tools")
    return ComparisonPrompt(
        where, tuple(messages), expected, None if tools is None else tuple(tools)
    )


def _messages(asked: object) -> list[dict[str, Any]]:
    """Messages of a prompt; none where it is not one."""
    if isinstance(asked, str):
        return [{"role": "user", "content": asked}] if asked else []
    if not isinstance(asked, list):
        return []
    known = all(isinstance(one, dict) and isinstance(one.get("role"), str) for one in asked)
    return list(asked) if known else []
