"""How many tokens a model can attend to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nanoaccel.bundle import find_context_length
from nanoaccel.bundle.attention import uniform_length
from nanoaccel.errors import UnsupportedModelError

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def context_length(config: PretrainedConfig) -> int:
    """Tokens that the model can attend to.

    Raises:
        UnsupportedModelError: The config does not say.
    """
    found = find_context_length(config.to_dict())
    if found is not None:
        limit = _limit(config)
        return found if limit is None else min(found, limit[0])
    raise UnsupportedModelError(
        f"the config of {config.model_type!r} does not say how long the context is",
        "Add max_position_embeddings to its config.json",
    )


def describe_context(config: PretrainedConfig, context: int) -> str:
    """The context length, and the reason for its limit.

    Args:
        config: Configuration of the model.
        context: Tokens that it can attend to.
    """
    limit = _limit(config)
    limited = limit is not None and limit[0] == context
    return f"{context:,} tokens" + (f": {limit[1]}" if limit is not None and limited else "")


def _limit(config: PretrainedConfig) -> tuple[int, str] | None:
    """Tokens that graphs of our own can compute, and what ends there."""
    return uniform_length(config.get_text_config().to_dict(), long_factors=True)
