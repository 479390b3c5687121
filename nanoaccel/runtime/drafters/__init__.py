"""Drafters: they guess how a text goes on."""

from nanoaccel.runtime.drafters.base import Draft, Drafter, DrafterOptions

__all__ = ["Draft", "Drafter", "DrafterOptions"]
