"""Options that several commands take, each written once: dataclasses of them."""

from typing import Any, Protocol

from nanoaccel.cli.options.adapters import AdapterOptions, ServedAdapterOptions
from nanoaccel.cli.options.engine import EngineOptions, ReplicaOptions
from nanoaccel.cli.options.grammar import GrammarOptions
from nanoaccel.cli.options.parsers import ParserOptions
from nanoaccel.cli.options.reuse import ReuseOptions
from nanoaccel.cli.options.sampling import SamplingOptions
from nanoaccel.cli.options.server import ServerOptions
from nanoaccel.cli.options.speculation import SpeculationOptions

__all__ = [
    "AdapterOptions",
    "EngineOptions",
    "GrammarOptions",
    "ParserOptions",
    "ReplicaOptions",
    "ReuseOptions",
    "SamplingOptions",
    "ServedAdapterOptions",
    "ServerOptions",
    "SpeculationOptions",
    "llm_arguments",
]


class _Group(Protocol):
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``."""


def llm_arguments(*groups: _Group) -> dict[str, Any]:
    """Keyword arguments for ``LLM`` from several groups of options.

    Raises:
        ConfigError: A value is wrong, or values do not go together.
    """
    return {name: value for group in groups for name, value in group.arguments().items()}
