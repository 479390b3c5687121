"""Which characters of a conversation the assistant wrote, by the model's own chat template."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.errors import RequestError
from nanoaccel.finetune.data.records import Conversation
from nanoaccel.text import ChatOptions, Tokenizer


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text, parts of which are learned.

    Args:
        text: As the model reads it.
        spans: Begin and end of each part that is learned, in characters.
    """

    text: str
    spans: tuple[tuple[int, int], ...]


class NoPlaceError(ValueError):
    """A chat template leaves no place for an answer; the message ends a sentence about the row."""


def mark_answers(conversation: Conversation, tokenizer: Tokenizer) -> list[MarkedText]:
    """The conversation as the template writes it, with the answers marked.

    An answer begins where the template's prompt for it ends, so what is learned is what the model
    writes when it is asked. As a rule that is one text. A template that writes earlier answers in
    another way than the last one (it drops their thoughts, for instance) gives a text for each
    answer, as the model meets them.

    Args:
        conversation: Messages of a row.
        tokenizer: Of the model, with its template.

    Raises:
        NoPlaceError: The template refuses the messages, leaves out an answer, or changes what
            stands before it.
    """
    places = [i for i, one in enumerate(conversation.messages) if one["role"] == "assistant"]
    texts = [_until(conversation, place, tokenizer) for place in places]
    whole = _render(conversation, len(conversation.messages), tokenizer, asks=False)
    if all(whole.startswith(text.text) for text in texts):
        spans = tuple(span for text in texts for span in text.spans)
        return [MarkedText(whole[: spans[-1][1]], spans)]
    return texts


def _until(conversation: Conversation, place: int, tokenizer: Tokenizer) -> MarkedText:
    """The conversation up to one answer, which alone is marked."""
    prompt = _render(conversation, place, tokenizer, asks=True)
    whole = _render(conversation, place + 1, tokenizer, asks=False)
    begin = _common(prompt, whole)
    if begin < len(prompt) and place > 0:
        # A prompt may begin the answer (with "<think>", say): what stands before it must be kept.
        before = _render(conversation, place, tokenizer, asks=False)
        if begin < len(before):
            raise NoPlaceError(
                "is rendered by the chat template so that an answer changes what stands before it"
            )
    end = _end(whole, begin, tokenizer)
    if not whole[begin:end].strip():
        raise NoPlaceError("has an answer for which the chat template has no place")
    return MarkedText(whole[:end], ((begin, end),))


def _end(text: str, begin: int, tokenizer: Tokenizer) -> int:
    """Where an answer ends: behind the token that ends it, without the blanks that follow."""
    kept = text.rstrip()
    for token in tokenizer.eos_token_ids:
        spelling = tokenizer.spelling(token)
        if spelling is not None and kept.endswith(spelling) and len(kept) > begin:
            return len(kept)
    return len(text)


def _common(one: str, other: str) -> int:
    """Characters that two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _render(conversation: Conversation, count: int, tokenizer: Tokenizer, *, asks: bool) -> str:
    """The first messages; with what begins the next answer where it is asked for."""
    if count == 0:
        return ""
    options = ChatOptions(tools=conversation.tools, add_generation_prompt=asks)
    try:
        return tokenizer.render_chat(conversation.messages[:count], options)
    except RequestError as error:
        raise NoPlaceError(f"does not fit: {error}") from error
