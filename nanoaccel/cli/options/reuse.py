"""Options of what is kept of prompts for later ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from nanoaccel.cli.options.panels import in_cache
from nanoaccel.sizes import parse_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseOptions:
    """What is kept of prompts for later ones; None is as set, or the default of ``LLM``."""

    prefix_cache: Annotated[
        bool | None,
        in_cache(
            "--prefix-cache/--no-prefix-cache",
            help="Keep what was computed for prompts, for those that begin the same.",
            show_default="prefix-cache",
        ),
    ] = None
    eviction_policy: Annotated[
        str | None,
        in_cache(
            metavar="NAME",
            help="What of earlier prompts goes first: lru, lfu or cost.",
            show_default="lru",
        ),
    ] = None
    prompt_cache: Annotated[
        Path | None,
        in_cache(metavar="DIR", help="Folder that keeps prompts beyond memory and this run."),
    ] = None
    prompt_cache_size: Annotated[
        str | None,
        in_cache(
            metavar="SIZE",
            help="What the folder may take; the oldest prompts go.",
            show_default="4GiB",
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``.

        Raises:
            ConfigError: ``--prompt-cache-size`` is no size.
        """
        size = self.prompt_cache_size
        return {
            "prefix_cache": self.prefix_cache,
            "eviction_policy": self.eviction_policy,
            "prompt_cache": self.prompt_cache,
            "prompt_cache_size": None if size is None else parse_bytes("--prompt-cache-size", size),
        }
