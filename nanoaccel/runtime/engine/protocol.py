"""What the faces need of what runs requests: an engine in this process, or several in others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends import BackendInfo
from nanoaccel.runtime.config import RequestOptions
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.text import Tokenizer

Given = TypeVar("Given", SamplingParams, RequestOptions)


class Submission(Protocol):
    """The requests of one prompt, one for each completion."""

    @property
    def prompt_ids(self) -> list[int]:
        """The prompt."""
        ...

    @property
    def count(self) -> int:
        """Completions; as many chunks with a finish reason will come."""
        ...

    def submit(self, sink: Callable[[Chunk], None], *, even_if_full: bool) -> None:
        """Queue them, together.

        Args:
            sink: Is given their chunks, always in the same thread.
            even_if_full: Whether they may make the queue longer than it should be.

        Raises:
            QueueFullError: The queue has no room for all of them.
            ClosedError: Nothing runs requests any more.
        """
        ...

    def cancel(self) -> None:
        """End those that have not ended; may be called from anywhere, at any time."""
        ...


class EngineClient(Protocol):
    """What runs requests.

    Attributes:
        tokenizer: The model's.
        info: Of what runs the graph; of one, where several do.
        replicas: Engines.
    """

    tokenizer: Tokenizer
    info: BackendInfo
    replicas: int

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        ...

    def prepare(
        self, prompt: Prompt, params: SamplingParams | None, options: RequestOptions | None
    ) -> Submission:
        """Make the requests of a prompt; they are not queued yet.

        Args:
            prompt: What to continue.
            params: How to sample; None is ``SamplingParams()``.
            options: How to treat it; None is ``RequestOptions()``.

        Raises:
            RequestError: The prompt is empty, too long, or not a prompt; or it asks for eviction
                by score and there are no scores.
            SamplingError: The parameters name a token that the model has not.
            ConfigError: The cache eviction does not fit the cache.
        """
        ...

    def counters(self) -> Counters:
        """How it does."""
        ...

    def close(self) -> None:
        """End everything: requests get finish_reason "cancelled". Calling it twice is fine."""
        ...


def prepare_all(
    serving: EngineClient,
    prompts: Sequence[Prompt],
    params: SamplingParams | Sequence[SamplingParams | None] | None,
    options: RequestOptions | Sequence[RequestOptions | None] | None,
) -> list[Submission]:
    """Make the requests of a list of prompts.

    Args:
        serving: Runs them.
        prompts: What to continue.
        params: How to sample all of them, or each.
        options: How to treat all of them, or each.

    Raises:
        ConfigError: A list of params or options has another length than that of the prompts.
        NanoAccelError: As ``EngineClient.prepare``.
    """
    return [
        serving.prepare(*asked)
        for asked in zip(
            prompts,
            _for_each("params", params, len(prompts)),
            _for_each("options", options, len(prompts)),
            strict=True,
        )
    ]


def _for_each(name: str, given: Given | Sequence[Given | None] | None, count: int) -> list[Any]:
    """One for each prompt, of one for all or of a list."""
    if not isinstance(given, list | tuple):
        return [given] * count
    if len(given) != count:
        raise ConfigError(
            f"{name} is a list of {len(given)} for {count} prompts", "Give one for all, or one each"
        )
    return list(given)
