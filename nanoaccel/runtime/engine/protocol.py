"""What runs requests for a face: an engine in this process, or several in others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from nanoaccel.runtime.adapters.registry import RegisteredAdapter
from nanoaccel.runtime.backends import BackendInfo
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.types.outputs import Chunk
from nanoaccel.runtime.types.pooling import Pooling
from nanoaccel.text import Tokenizer

Sink: TypeAlias = Callable[[Chunk], None]


class ClientRequest(Protocol):
    """One completion of a prompt, as a client runs it."""

    @property
    def prompt_ids(self) -> list[int]:
        """Tokens of the prompt."""
        ...


RequestT = TypeVar("RequestT", bound=ClientRequest)


class EngineClient(Protocol[RequestT]):
    """What runs requests.

    Attributes:
        tokenizer: The model's.
        info: What runs the graph; the first engine's, where there are several.
        replicas: Number of engines.
    """

    tokenizer: Tokenizer
    info: BackendInfo
    replicas: int

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        ...

    def process(
        self,
        prompt: Prompt,
        params: SamplingParams | Pooling | None,
        options: RequestOptions | None,
    ) -> list[RequestT]:
        """Make the requests of a prompt, one for each completion; they are not queued yet.

        Args:
            prompt: What to continue.
            params: How to sample, or how the prompt becomes an embedding; None is
                ``SamplingParams()``.
            options: How to treat it; None is ``RequestOptions()``.

        Raises:
            RequestError: The prompt is empty, too long, or not a prompt; or it asks for what there
                is not: scores to evict by, states for an embedding, or the adapter.
            SamplingError: The parameters name a token that the model does not have.
            ConfigError: The cache eviction does not fit the cache.
        """
        ...

    def submit(
        self, requests: Sequence[RequestT], sink: Sink, *, even_if_full: bool = False
    ) -> None:
        """Queue requests, all or none. Each gets exactly one chunk with a finish reason.

        Args:
            requests: New ones.
            sink: Receives their chunks, always in the same thread; must be quick and never raise.
            even_if_full: Whether they may make the queue longer than ``max_waiting``.

        Raises:
            QueueFullError: The queue has no room for all of them.
            ClosedError: Nothing runs requests any more.
        """
        ...

    def cancel(self, requests: Sequence[RequestT]) -> None:
        """End requests that have not ended; may be called from anywhere, at any time."""
        ...

    def adapters(self) -> tuple[RegisteredAdapter, ...]:
        """Adapters that requests may have, by ``RequestOptions.adapter``."""
        ...

    def add_adapter(self, name: str, folder: Path) -> None:
        """Read an adapter, check it, and let requests have it; it is loaded when one does.

        Args:
            name: What requests call it.
            folder: PEFT's folder, which must stay as it is.

        Raises:
            ConfigError: The name is taken or cannot be one, or the backend computes no adapters.
            AdapterError: The adapter cannot be read, or does not fit the model.
        """
        ...

    def remove_adapter(self, name: str) -> None:
        """Refuse new requests for an adapter; those that were accepted run to their end with it.

        Raises:
            ConfigError: There is no such adapter.
        """
        ...

    def set_adapters(self, adapters: tuple[RegisteredAdapter, ...]) -> None:
        """Have these adapters, which were checked before, and no others."""
        ...

    def counters(self) -> Counters:
        """Queue, cache and times; a snapshot."""
        ...

    def close(self) -> None:
        """End everything: requests get finish_reason "cancelled". Calling it twice is fine."""
        ...
