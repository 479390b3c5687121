"""The adapters of an ``LLM``, which come and go while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nanoaccel.runtime.engine.protocol import EngineClient
from nanoaccel.runtime.types.values import as_path, as_text


class Adapters(Mapping[str, Path]):
    """Folders of adapters by the names that requests call them: ``llm.adapters``.

    An adapter is loaded when a request needs it, while others run, and the least recently used one
    makes room for it. Its folder must stay as it is.

    Args:
        client: What runs the requests.

    Examples:
        >>> from nanoaccel import LLM
        >>> with LLM("bundle", adapters={}) as llm:  # doctest: +SKIP
        ...     llm.adapters.add("sql", "sql-adapter")
        ...     output = llm.generate("How many users?", options=RequestOptions(adapter="sql"))
        ...     llm.adapters.remove("sql")
    """

    def __init__(self, client: EngineClient[Any]) -> None:
        self._client = client

    def add(self, name: str, folder: str | Path) -> None:
        """Read an adapter, check it, and let requests have it.

        Args:
            name: What ``RequestOptions.adapter`` calls it.
            folder: PEFT's folder: adapter_config.json and adapter_model.safetensors.

        Raises:
            ConfigError: The name is taken or cannot be one, or the backend computes no adapters.
            AdapterError: The adapter cannot be read, or does not fit the model.
        """
        self._client.add_adapter(as_text("name", name), as_path("folder", folder))

    def remove(self, name: str) -> None:
        """Refuse new requests for an adapter; those that were accepted run to their end with it.

        Raises:
            ConfigError: There is no such adapter.
        """
        self._client.remove_adapter(as_text("name", name))

    def __getitem__(self, name: str) -> Path:
        return self._folders()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders())

    def __len__(self) -> int:
        return len(self._folders())

    def __repr__(self) -> str:
        return f"Adapters({', '.join(self)})"

    def _folders(self) -> dict[str, Path]:
        return {one.name: one.folder for one in self._client.adapters()}
