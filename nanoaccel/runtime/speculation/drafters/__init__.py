"""Drafters: they guess how a text goes on."""

from nanoaccel.runtime.speculation.drafters.base import (
    Draft,
    Drafter,
    DrafterOptions,
    DraftOptions,
    StateReader,
)

__all__ = ["Draft", "DraftOptions", "Drafter", "DrafterOptions", "StateReader"]
