"""Options of speculation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from nanoaccel.cli.options.panels import in_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationOptions:
    """Who guesses tokens; None is as set, or the default of ``LLM``."""

    speculation: Annotated[
        str | None,
        in_engine(
            metavar="NAME",
            help="Who guesses tokens, so that one step can give several: auto, off, or a drafter.",
            show_default="auto",
        ),
    ] = None
    draft: Annotated[
        Path | None,
        in_engine(metavar="DIR", help="A draft instead of the bundle's: a head or another bundle."),
    ] = None
    corpus_tokens: Annotated[
        int | None,
        in_engine(
            help="Latest tokens of finished answers that guesses may come from; 0 is none.",
            show_default="0",
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``."""
        return {
            "speculation": self.speculation,
            "draft": self.draft,
            "corpus_tokens": self.corpus_tokens,
        }
