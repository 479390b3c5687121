"""Drafters: they propose how a text goes on."""

from nanoaccel.runtime.speculation.drafters.base import (
    Draft,
    Drafter,
    DrafterContext,
    DrafterFactory,
    DrafterOptions,
    DraftOptions,
    StateReader,
)

__all__ = [
    "Draft",
    "DraftOptions",
    "Drafter",
    "DrafterContext",
    "DrafterFactory",
    "DrafterOptions",
    "StateReader",
]
