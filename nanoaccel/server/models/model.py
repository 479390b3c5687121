"""One loaded bundle, as the endpoints see it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nanoaccel.bundle import Bundle, weights_size
from nanoaccel.runtime.engine.protocol import EngineClient
from nanoaccel.runtime.llm import LLM
from nanoaccel.server.chat.families.form import ReplyForm
from nanoaccel.server.chat.families.table import form_of
from nanoaccel.server.chat.spelling import Spelling
from nanoaccel.server.models.token_texts import TokenTexts
from nanoaccel.text import Tokenizer


class Model:
    """An engine with its name, and what it takes of the memory.

    Args:
        name: What clients call it.
        bundle: Its folder.
        options: Keyword arguments for ``LLM``.
        form: Makes of its chat templates how it writes replies.

    Attributes:
        name: As given; with an adapter, BUNDLE:ADAPTER.
        base: As given.
        adapter: Name of the adapter that it answers with; None without.
        client: What runs its requests.
        token_texts: Text and bytes of single tokens.
        form: How it writes replies.
        spelling: How its tokens write them.
        mark_ids: Special tokens that stand in the marks of its replies, and must be read.
        memory: Bytes of its weights and cache.

    Raises:
        NanoAccelError: As ``LLM``.
    """

    def __init__(
        self,
        name: str,
        bundle: Path,
        options: dict[str, Any],
        form: Callable[[Sequence[str]], ReplyForm] = form_of,
    ) -> None:
        self.name = self.base = name
        self.adapter: str | None = None
        self._llm = LLM(bundle, **options)
        self.client: EngineClient[Any] = self._llm.client
        self.token_texts = TokenTexts(self.tokenizer)
        self.form = form(self.tokenizer.chat_template_sources)
        self.spelling = Spelling(self.tokenizer.added_tokens)
        self.mark_ids = tuple(
            number
            for token, number in self.tokenizer.special_tokens.items()
            if any(token in mark for mark in self.form.marks)
        )
        self.memory = weights_memory(bundle) + self.client.counters().cache_bytes

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to token ids and back."""
        return self._llm.tokenizer

    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that requests may have."""
        return tuple(one.name for one in self.client.adapters())

    def with_adapter(self, adapter: str | None) -> Model:
        """The same model, answering with an adapter of this name; itself for None."""
        if adapter is None:
            return self
        made = copy.copy(self)
        made.name, made.adapter = f"{self.base}:{adapter}", adapter
        return made

    async def close(self) -> None:
        """End its requests and free its memory."""
        await asyncio.to_thread(self._llm.close)


def weights_memory(bundle: Path) -> int:
    """Bytes of a bundle's weights.

    Raises:
        BundleError: The folder is no bundle, or damaged.
    """
    return weights_size(Bundle.open(bundle).graph)
