"""The face for asyncio: any number of streams at once, none of which blocks the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

from nanoaccel.runtime.backends import BackendInfo
from nanoaccel.runtime.engine.metrics import Counters
from nanoaccel.runtime.engine.prompts import Prompt
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.loop_calls import call_in
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.scheduling.options import RequestOptions
from nanoaccel.runtime.streams import AsyncStream, OutputCollector
from nanoaccel.runtime.types.outputs import RequestOutput
from nanoaccel.runtime.types.plan import Float32Array
from nanoaccel.runtime.types.pooling import Pooling, PoolingKind


class AsyncLLM:
    """An ``LLM`` for asyncio.

    Args:
        bundle: As for ``LLM``.
        options: As for ``LLM``.

    Raises:
        NanoAccelError: As ``LLM`` does.

    Examples:
        >>> import asyncio
        >>> from nanoaccel import AsyncLLM
        >>> async def main():
        ...     async with AsyncLLM("bundle") as llm:
        ...         chunks = [chunk async for chunk in llm.stream("Once upon a time")]
        ...     return chunks[-1].finish_reason
        >>> asyncio.run(main()) in ("stop", "length")
        True
    """

    def __init__(self, bundle: str | Path, **options: Any) -> None:
        self._llm = LLM(bundle, **options)
        self.tokenizer = self._llm.tokenizer
        self.adapters = self._llm.adapters

    @property
    def backend(self) -> BackendInfo:
        """What runs the graph."""
        return self._llm.backend

    @property
    def replicas(self) -> int:
        """Engines."""
        return self._llm.replicas

    @property
    def context_length(self) -> int:
        """Tokens of prompt and text together that a request may have."""
        return self._llm.context_length

    @overload
    async def generate(  # type: ignore[overload-overlap]  # str is itself a Sequence[str]
        self,
        prompts: Prompt,
        params: SamplingParams | None = None,
        options: RequestOptions | None = None,
    ) -> RequestOutput: ...

    @overload
    async def generate(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams | None] | None = None,
        options: RequestOptions | Sequence[RequestOptions | None] | None = None,
    ) -> list[RequestOutput]: ...

    async def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams | None] | None = None,
        options: RequestOptions | Sequence[RequestOptions | None] | None = None,
    ) -> RequestOutput | list[RequestOutput]:
        """Continue one prompt, or several together; as ``LLM.generate``.

        When the task is cancelled, so are the requests.

        Examples:
            >>> import asyncio
            >>> from nanoaccel import AsyncLLM
            >>> async def main():
            ...     async with AsyncLLM("bundle") as llm:
            ...         texts = [llm.generate("The sea"), llm.generate("The sky")]
            ...         return await asyncio.gather(*texts)
            >>> len(asyncio.run(main()))
            2
        """
        return (await self._collect(prompts, params, options)).outputs()

    async def embed(
        self,
        prompts: Prompt | Sequence[Prompt],
        *,
        pooling: PoolingKind = "last",
        normalize: bool = True,
        dimensions: int | None = None,
        options: RequestOptions | Sequence[RequestOptions | None] | None = None,
    ) -> Float32Array:
        """Make a vector of each prompt; as ``LLM.embed``.

        When the task is cancelled, so are the requests.

        Examples:
            >>> import asyncio
            >>> from nanoaccel import AsyncLLM
            >>> async def main():
            ...     async with AsyncLLM("bundle") as llm:
            ...         return await llm.embed(["The sea", "The sky"], pooling="mean")
            >>> len(asyncio.run(main()))
            2
        """
        asked = Pooling(kind=pooling, normalize=normalize, dimensions=dimensions)
        return (await self._collect(prompts, asked, options)).embeddings()

    def stream(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        options: RequestOptions | None = None,
    ) -> AsyncStream:
        """Continue one prompt and give its text as it is written.

        The request is queued at once, and cancelled when the stream is closed or let go; closing
        it is certain in an ``async with`` block. The prompt is encoded here, and a grammar
        compiled. Where that would hold up the event loop, call this in a thread:
        ``stream = await asyncio.to_thread(llm.stream, prompt)``.

        Raises:
            RequestError: The prompt is empty, too long, or not a prompt.
            QueueFullError: ``max_waiting`` requests wait already.
            SamplingError: The parameters name a token that the model does not have.
            ClosedError: The LLM is closed.

        Examples:
            >>> import asyncio
            >>> from nanoaccel import AsyncLLM
            >>> async def main():
            ...     async with AsyncLLM("bundle") as llm, llm.stream("Once upon a time") as stream:
            ...         async for chunk in stream:
            ...             pass
            ...     return chunk.usage.prompt_tokens > 0
            >>> asyncio.run(main())
            True
        """
        client = self._llm.client
        return AsyncStream(client, client.process(prompt, params, options))

    def counters(self) -> Counters:
        """How the engine does: queue, cache, times; a snapshot.

        Examples:
            >>> import asyncio
            >>> from nanoaccel import AsyncLLM
            >>> async def main():
            ...     async with AsyncLLM("bundle") as llm:
            ...         return llm.counters().submitted
            >>> asyncio.run(main())
            0
        """
        return self._llm.counters()

    async def close(self) -> None:
        """Cancel what runs and free the memory; calling it twice is fine.

        Examples:
            >>> import asyncio
            >>> from nanoaccel import AsyncLLM
            >>> async def main():
            ...     llm = AsyncLLM("bundle")
            ...     await llm.close()
            >>> asyncio.run(main())
        """
        await asyncio.to_thread(self._llm.close)

    async def _collect(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: SamplingParams | Pooling | Sequence[SamplingParams | None] | None,
        options: RequestOptions | Sequence[RequestOptions | None] | None,
    ) -> OutputCollector:
        """Run prompts until all have ended."""
        ended = asyncio.Event()
        on_end = partial(call_in, asyncio.get_running_loop(), ended.set)
        collector = await asyncio.to_thread(
            OutputCollector, self._llm.client, prompts, params, options, on_end
        )
        try:
            await asyncio.to_thread(collector.submit)
            await ended.wait()
        except BaseException:
            collector.cancel()
            raise
        return collector

    async def __aenter__(self) -> AsyncLLM:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
