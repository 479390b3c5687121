"""Options of speculation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from nanoaccel.cli.options.panels import in_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationOptions:
    """Who guesses tokens; the defaults are those of ``LLM``."""

    speculation: Annotated[
        str,
        in_engine(
            metavar="NAME",
            help="Who guesses tokens, so that one step can give several: auto, off, or a drafter.",
        ),
    ] = "auto"
    draft: Annotated[
        Path | None,
        in_engine(metavar="DIR", help="A draft instead of the bundle's: a head or another bundle."),
    ] = None
    corpus_tokens: Annotated[
        int,
        in_engine(help="Latest tokens of finished answers that guesses may come from; 0 is none."),
    ] = 0

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``."""
        return {
            "speculation": self.speculation,
            "draft": self.draft,
            "corpus_tokens": self.corpus_tokens,
        }
