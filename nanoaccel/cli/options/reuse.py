"""Options of what is kept of prompts for later ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from nanoaccel.cli.options.panels import in_cache
from nanoaccel.sizes import parse_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseOptions:
    """What is kept of prompts for later ones; the defaults are those of ``LLM``."""

    no_prefix_cache: Annotated[
        bool,
        in_cache("--no-prefix-cache", help="Compute prompts anew that begin as earlier ones."),
    ] = False
    eviction_policy: Annotated[
        str,
        in_cache(metavar="NAME", help="What of earlier prompts goes first: lru, lfu or cost."),
    ] = "lru"
    prompt_cache: Annotated[
        Path | None,
        in_cache(metavar="DIR", help="Folder that keeps prompts beyond memory and this run."),
    ] = None
    prompt_cache_size: Annotated[
        str, in_cache(metavar="SIZE", help="What the folder may take; the oldest prompts go.")
    ] = "4GiB"

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``.

        Raises:
            ConfigError: ``--prompt-cache-size`` is no size.
        """
        return {
            "prefix_cache": not self.no_prefix_cache,
            "eviction_policy": self.eviction_policy,
            "prompt_cache": self.prompt_cache,
            "prompt_cache_size": parse_bytes("--prompt-cache-size", self.prompt_cache_size),
        }
