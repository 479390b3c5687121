"""From what a user gives as a prompt to checked token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TypeAlias, cast

from nanoaccel.errors import EmptyPromptError, PromptTooLongError, RequestError
from nanoaccel.text import ChatOptions, Tokenizer

Message: TypeAlias = Mapping[str, object]
Prompt: TypeAlias = str | Sequence[int] | Sequence[Message]

_KINDS = "A prompt is a string, a list of token ids or a list of messages"
_SHORTEN = "Shorten it"


class PromptEncoder:
    """Turns prompts into token ids, and refuses those that cannot run.

    Args:
        tokenizer: The model's.
        vocab_size: Token ids are below it.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size

    def encode(
        self,
        prompt: Prompt,
        context_length: int,
        chat: ChatOptions | None = None,
        remedy: str = _SHORTEN,
        *,
        room: int = 1,
    ) -> list[int]:
        """Token ids of a prompt that fits.

        Args:
            prompt: What a user gave.
            context_length: Tokens of prompt and text that fit.
            chat: How messages become a prompt.
            remedy: What to do where they do not fit.
            room: Tokens that must be left for text; none where only the prompt is read.

        Raises:
            RequestError: It is empty, too long, or not a prompt; or it holds a token that the
                model has not.
        """
        if not isinstance(prompt, Sequence) or isinstance(prompt, bytes):
            raise RequestError(f"{type(prompt).__name__} is not a prompt", _KINDS)
        if len(prompt) == 0:
            ids = []
        elif (text := self._text_of(prompt, chat)) is None:
            ids = self._check_ids(cast(Sequence[int], prompt))
        else:
            check_text(self._tokenizer, text, context_length, remedy, room=room)
            # A template writes its own BOS.
            with_special = isinstance(prompt, str)
            ids = self._check_rows(self._tokenizer.encode(text, add_special_tokens=with_special))
        if not ids:
            raise EmptyPromptError("the prompt is empty", "Give it at least one word")
        if len(ids) + room > context_length:
            raise PromptTooLongError(
                f"the prompt has {len(ids)} tokens; {context_length - room} fit",
                remedy,
                prompt_tokens=len(ids),
                context_length=context_length,
            )
        return ids

    def _text_of(self, prompt: Prompt, chat: ChatOptions | None) -> str | None:
        """The text of a prompt that is one, or a chat; None for token ids."""
        if not isinstance(prompt, str) and all(isinstance(item, Mapping) for item in prompt):
            messages = cast(Sequence[Message], prompt)
            return self._tokenizer.render_chat(messages, ChatOptions() if chat is None else chat)
        if chat is not None:
            raise RequestError(
                "the options of a chat are given, and the prompt is no list of messages",
                "Pass messages, or leave out RequestOptions(chat=...)",
            )
        return prompt if isinstance(prompt, str) else None

    def _check_rows(self, ids: list[int]) -> list[int]:
        """Raises RequestError for a token that the tokenizer knows and the model does not."""
        for token in ids:
            if token >= self._vocab_size:
                raise RequestError(
                    f"the prompt holds the token {self._tokenizer.spelling(token)!r} (id {token}), "
                    f"and the model's tokens end at {self._vocab_size - 1}",
                    "Leave it out: the model was not made for it",
                )
        return ids

    def _check_ids(self, ids: Sequence[int]) -> list[int]:
        for token in ids:
            whole = isinstance(token, Integral) and not isinstance(token, bool)
            if not whole or not 0 <= token < self._vocab_size:
                raise RequestError(
                    f"{token!r} is not a token id from 0 to {self._vocab_size - 1}", _KINDS
                )
        return [int(token) for token in ids]


def check_text(
    tokenizer: Tokenizer,
    text: str,
    context_length: int,
    remedy: str = _SHORTEN,
    *,
    room: int = 1,
) -> None:
    """Refuse a text that is so long that its tokens need not be counted.

    Args:
        tokenizer: The model's.
        text: The text of a prompt.
        context_length: Tokens of prompt and text that fit.
        remedy: What to do where they do not fit.
        room: Tokens that must be left for text.

    Raises:
        PromptTooLongError: It does not fit.
    """
    fits = context_length - room
    if len(text) <= fits:  # most texts
        return
    fewest = tokenizer.fewest_tokens(text)
    if fewest > fits:
        raise PromptTooLongError(
            f"the prompt has at least {fewest} tokens; {fits} fit",
            remedy,
            prompt_tokens=fewest,
            context_length=context_length,
            at_least=True,
        )


def is_single(prompts: Prompt | Sequence[Prompt]) -> bool:
    """Whether this is one prompt: text, token ids or messages, and not a list of these.

    Raises:
        RequestError: It is neither.
    """
    if isinstance(prompts, str):
        return True
    if not isinstance(prompts, Sequence) or isinstance(prompts, bytes):
        raise RequestError(f"{type(prompts).__name__} is not a prompt", _KINDS)
    return len(prompts) > 0 and isinstance(prompts[0], Integral | Mapping)
