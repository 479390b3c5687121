"""Options of how models write what is no plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from nanoaccel.cli.options.panels import in_server


@dataclass(frozen=True, slots=True, kw_only=True)
class ParserOptions:
    """How models write calls and thoughts; the defaults are those of ``ServerConfig``."""

    tool_parser: Annotated[
        str | None,
        in_server(
            metavar="NAME",
            help="How the models write calls of tools, where their chat templates do not say: "
            "hermes, llama, mistral, mistral-list, granite, nemotron, apriel, deepseek, "
            "deepseek-fenced, qwen-coder, seed, glm, glm-compact, gemma, harmony, none.",
        ),
    ] = None
    reasoning_parser: Annotated[
        str | None,
        in_server(
            metavar="NAME",
            help="How they write thoughts: think, mistral, granite, seed, gemma, harmony, none.",
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``ServerConfig``."""
        return {"tool_parser": self.tool_parser, "reasoning_parser": self.reasoning_parser}
