"""What a user gets back: chunks while a request runs, and the whole when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from nanoaccel.runtime.types.plan import Float32Array

FinishReason: TypeAlias = Literal["stop", "length", "cancelled", "timeout", "error"]


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log-probabilities at one position, under the model itself (no penalty, no temperature).

    Args:
        token_id: The token that was chosen.
        logprob: Its natural log-probability.
        top: The likeliest tokens and theirs, likeliest first.
    """

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...]


PromptLogprobs: TypeAlias = tuple[TokenLogprobs | None, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that went in and came out.

    Args:
        prompt_tokens: Tokens of the prompt.
        completion_tokens: Tokens that were generated.
    """

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class RequestStats:
    """Where the time went, in seconds.

    Args:
        queued: From submission to the first step that worked on the request.
        first_token: From submission to the first token; None when there was none.
        total: From submission to the end.
        preemptions: How often its cache was given up and computed again.
        cached_tokens: Tokens of the prompt that were found in the cache and not computed.
        steps: Passes through the graph that gave it tokens.
        draft_steps: Those of them that verified draft tokens.
        drafted_tokens: Draft tokens that were verified.
        accepted_tokens: Those that were accepted: tokens that needed no pass of their own.
        reached: By position in a draft, from the first: tokens before which all were accepted.
        accepted: By position: those of them that were accepted too.
        saved: Seconds that speculation saved, against what plain steps take on this machine; below
            0 when it cost more. Of a step with several requests, each has its share by rows.
    """

    queued: float
    first_token: float | None
    total: float
    preemptions: int
    cached_tokens: int = 0
    steps: int = 0
    draft_steps: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    reached: tuple[int, ...] = ()
    accepted: tuple[int, ...] = ()
    saved: float = 0.0

    def decode_tokens_per_second(self, completion_tokens: int) -> float | None:
        """Speed after the first token; None when fewer than two were generated."""
        if self.first_token is None or completion_tokens < 2 or self.total <= self.first_token:
            return None
        return (completion_tokens - 1) / (self.total - self.first_token)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request is before its first token.

    Args:
        total: Tokens of the prompt.
        cached: Those of them that were found in the cache.
        processed: Those that were found or computed so far.
        seconds: Time since the first step worked on it; 0 while it waits.
        place: Place in the queue, from 1; 0 when it has left the queue.
        waiting: Requests in the queue.
    """

    total: int
    cached: int
    processed: int
    seconds: float
    place: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a completion, as soon as it is certain.

    Args:
        text: New text; may be empty while a character or a stop string is undecided.
        token_ids: New tokens.
        logprobs: One for each token when they were asked for, else empty.
        prompt_logprobs: On the first chunk that tells of a token, or of the end, of the first
            completion of a prompt: as in ``Completion``.
        index: Index of the completion among the ``n`` of its prompt.
        finish_reason: On the last chunk of a completion, why it ended.
        error: What went wrong, with finish_reason "error".
        usage: On the last chunk.
        stats: On the last chunk.
        stop_reason: On the last chunk, the stop string or the id of the stop token that ended the
            text; None when something else did.
        progress: How far the request is; such a chunk has no text, and comes only where
            ``RequestOptions(progress=True)`` asks for it.
        embedding: On the last chunk of an embedding, f32[H].

    Examples:
        >>> from nanoaccel import Chunk
        >>> chunk = Chunk("a time", (260, 673), finish_reason="length")
        >>> print(chunk, chunk.finish_reason)
        a time length
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprobs, ...] = ()
    index: int = 0
    finish_reason: FinishReason | None = None
    error: str | None = None
    usage: Usage | None = None
    stats: RequestStats | None = None
    stop_reason: str | int | None = None
    progress: Progress | None = None
    prompt_logprobs: PromptLogprobs = ()
    embedding: Float32Array | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion, whole.

    Args:
        text: Generated text, without the prompt and without a stop string.
        token_ids: Generated tokens.
        finish_reason: Why it ended: stop, length, cancelled, timeout or error.
        usage: Tokens of the prompt and of this completion.
        stats: Where the time went.
        logprobs: One for each token, when ``SamplingParams.logprobs`` asked for them.
        prompt_logprobs: One for each token of the prompt, None for the first, which follows none;
            when ``SamplingParams.prompt_logprobs`` asked for them, on the first completion. Empty
            when it ended before its whole prompt was computed.
        error: What went wrong, with finish_reason "error".
        stop_reason: The stop string or the id of the stop token that ended it, else None.

    Examples:
        >>> from nanoaccel import LLM, SamplingParams
        >>> with LLM("bundle") as llm:
        ...     output = llm.generate("Once upon a time", SamplingParams(n=2, max_tokens=4))
        >>> [completion.usage.prompt_tokens > 0 for completion in output.completions]
        [True, True]
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    usage: Usage
    stats: RequestStats
    logprobs: tuple[TokenLogprobs, ...] = ()
    error: str | None = None
    stop_reason: str | int | None = None
    prompt_logprobs: PromptLogprobs = ()

    def __str__(self) -> str:
        return self.text if self.error is None else f"{self.text}[error: {self.error}]"

    def __repr__(self) -> str:
        return f"Completion({_summary(self)})"


@dataclass(frozen=True, slots=True)
class RequestOutput:
    """All completions of one prompt; the attributes beside ``completions`` are the first one's.

    Printed, it is the text; of several completions, each with its number before it.

    Args:
        prompt_token_ids: Tokens of the prompt.
        completions: As many as ``SamplingParams.n``.

    Examples:
        >>> from nanoaccel import LLM
        >>> with LLM("bundle") as llm:
        ...     output = llm.generate("Once upon a time")
        >>> output.text == str(output), output.usage.completion_tokens == len(output.token_ids)
        (True, True)
    """

    prompt_token_ids: tuple[int, ...]
    completions: tuple[Completion, ...]

    def __str__(self) -> str:
        if len(self.completions) == 1:
            return str(self.completions[0])
        return "\n".join(f"[{index}] {one}" for index, one in enumerate(self.completions, 1))

    def __repr__(self) -> str:
        shown = "; ".join(_summary(one) for one in self.completions)
        return f"RequestOutput({shown})"

    @property
    def text(self) -> str:
        """The generated text, without the prompt and without a stop string."""
        return self.completions[0].text

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The generated tokens."""
        return self.completions[0].token_ids

    @property
    def finish_reason(self) -> FinishReason:
        """Why it ended: stop, length, cancelled, timeout or error."""
        return self.completions[0].finish_reason

    @property
    def logprobs(self) -> tuple[TokenLogprobs, ...]:
        """One for each token, when ``SamplingParams.logprobs`` asked for them."""
        return self.completions[0].logprobs

    @property
    def prompt_logprobs(self) -> PromptLogprobs:
        """One for each token of the prompt, when ``SamplingParams.prompt_logprobs`` asked."""
        return self.completions[0].prompt_logprobs

    @property
    def error(self) -> str | None:
        """What went wrong, with finish_reason "error"."""
        return self.completions[0].error

    @property
    def stats(self) -> RequestStats:
        """Where the time went."""
        return self.completions[0].stats

    @property
    def usage(self) -> Usage:
        """Tokens of the prompt and of all completions."""
        completed = sum(c.usage.completion_tokens for c in self.completions)
        return Usage(len(self.prompt_token_ids), completed)


def _summary(completion: Completion) -> str:
    usage = completion.usage
    tokens = f"{usage.prompt_tokens} + {usage.completion_tokens} tokens"
    error = "" if completion.error is None else f", error={completion.error!r}"
    reason = completion.finish_reason
    return f"text={completion.text!r}, finish_reason={reason!r}, {tokens}{error}"


def join_chunks(chunks: Sequence[Chunk]) -> Completion:
    """Put the chunks of one completion together; the last one must carry a finish reason."""
    last = chunks[-1]
    assert last.finish_reason is not None
    assert last.usage is not None
    assert last.stats is not None
    return Completion(
        text="".join(chunk.text for chunk in chunks),
        token_ids=tuple(token for chunk in chunks for token in chunk.token_ids),
        finish_reason=last.finish_reason,
        usage=last.usage,
        stats=last.stats,
        logprobs=tuple(entry for chunk in chunks for entry in chunk.logprobs),
        error=last.error,
        stop_reason=last.stop_reason,
        prompt_logprobs=tuple(entry for chunk in chunks for entry in chunk.prompt_logprobs),
    )


def collect(prompt_ids: Sequence[int], chunks: Sequence[Chunk]) -> RequestOutput:
    """Put the chunks of all completions of a prompt together, however they are mixed."""
    written: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        written.setdefault(chunk.index, []).append(chunk)
    return RequestOutput(
        tuple(prompt_ids), tuple(join_chunks(written[index]) for index in sorted(written))
    )
