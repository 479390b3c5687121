"""A chat: its history, and what the last answer cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nanoaccel.cli.ui.speed import cached_text, tokens_text
from nanoaccel.errors import GenerationError

if TYPE_CHECKING:
    from nanoaccel.runtime.llm import LLM
    from nanoaccel.runtime.sampling import SamplingParams
    from nanoaccel.runtime.scheduling.options import RequestOptions
    from nanoaccel.runtime.types.outputs import Chunk


@dataclass(frozen=True, slots=True)
class AnswerStats:
    """What an answer cost.

    Args:
        tokens: Tokens of the answer.
        speed: Tokens a second after the first; None when unknown.
        prompt: Tokens of the conversation before it.
        cached: Those of them that were not computed again; None when unknown.
        finish_reason: Why it ended: stop, length or cancelled.
    """

    tokens: int
    speed: float | None
    prompt: int
    cached: int | None
    finish_reason: str

    @property
    def context(self) -> int:
        """Tokens of the conversation, the answer included."""
        return self.prompt + self.tokens


class Conversation:
    """Keeps what was said and asks for the next answer.

    Args:
        llm: Gives the answers; its model has a chat template.
        params: How to sample them.
        system: The system message; it survives ``reset``.
        options: How requests are treated.

    Attributes:
        params: May be replaced between answers.
    """

    def __init__(
        self,
        llm: LLM,
        params: SamplingParams,
        system: str | None,
        options: RequestOptions | None = None,
    ) -> None:
        self._llm = llm
        self._options = options
        self.params = params
        self._system = system
        self.messages: list[dict[str, str]] = []
        self.last: AnswerStats | None = None
        self.reset()

    def reset(self) -> None:
        """Forget all but the system message."""
        self.messages = (
            [] if self._system is None else [{"role": "system", "content": self._system}]
        )
        self.last = None

    def resume(self, messages: Sequence[dict[str, str]]) -> None:
        """Go on with another conversation; its system message, if it has one, is taken over."""
        self._system = None
        if messages and messages[0]["role"] == "system":
            self._system = messages[0]["content"]
        self.messages = list(messages)
        self.last = None

    def answer(self, text: str, write: Callable[[str], None]) -> None:
        """Answer a message; Ctrl-C ends the answer.

        Message and answer join the history when the answer ends, also one that was stopped; a
        message that got no answer is forgotten.

        Args:
            text: What the user says.
            write: Is given the answer, piece by piece.

        Raises:
            PromptTooLongError: The conversation does not fit the context.
            RequestError: The chat template refuses the message.
            GenerationError: The answer failed on the way.
        """
        messages = [*self.messages, {"role": "user", "content": text}]
        prompt = self._llm.tokenizer.encode_chat(messages)
        chunks: list[Chunk] = []
        stream = self._llm.stream(prompt, self.params, self._options)
        with suppress(KeyboardInterrupt), stream:
            for chunk in stream:
                chunks.append(chunk)
                if chunk.finish_reason == "error":
                    raise GenerationError(str(chunk.error))
                write(chunk.text)
        answer = "".join(chunk.text for chunk in chunks)
        if answer:
            self.messages = [*messages, {"role": "assistant", "content": answer}]
        self.last = _stats(chunks, len(prompt))

    @property
    def context_is_full(self) -> bool:
        """Whether the last answer ended because nothing more fits."""
        return self.last is not None and self.last.context >= self._llm.context_length

    def describe_last(self) -> str:
        """The last answer's cost, in one line."""
        if self.last is None:
            return "nothing was said yet"
        last = self.last
        speed = "" if last.speed is None else f", {last.speed:.1f} tokens/s"
        cached = "" if last.cached is None else f", {cached_text(last.cached, last.prompt)}"
        return (
            f"last answer {tokens_text(last.tokens)}{speed}{cached}; "
            f"context {last.context} of {self._llm.context_length} tokens"
        )


def _stats(chunks: list[Chunk], prompt_tokens: int) -> AnswerStats:
    tokens = sum(len(chunk.token_ids) for chunk in chunks)
    stats = chunks[-1].stats if chunks else None
    reason = chunks[-1].finish_reason if chunks else None
    return AnswerStats(
        tokens,
        None if stats is None else stats.decode_tokens_per_second(tokens),
        prompt_tokens,
        None if stats is None else stats.cached_tokens,
        "cancelled" if reason is None else reason,
    )
