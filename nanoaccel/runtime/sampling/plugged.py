"""Logits processors of plugins, for requests that ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import GenerationError, NanoAccelError, SamplingError
from nanoaccel.registry import LOGITS_PROCESSORS
from nanoaccel.runtime.sampling.processors import LogitsProcessor


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorOptions:
    """What a logits processor of a plugin is made with, anew for each completion.

    Args:
        values: What the request said of it, as the user wrote it.
        prompt_ids: Tokens of the prompt.
        end_ids: Tokens that end the text.
        vocab_size: Length V of a row of logits.
    """

    values: Mapping[str, Any]
    prompt_ids: tuple[int, ...]
    end_ids: tuple[int, ...]
    vocab_size: int


class ProcessorFactory(Protocol):
    """What is registered under a processor's name: mostly its class."""

    def __call__(self, options: ProcessorOptions) -> LogitsProcessor:
        """Make the processor of a completion.

        Raises:
            ValueError: A value of the request is wrong; its words are shown to who asked.
        """
        ...


def plugged_processors(
    asked: Mapping[str, Mapping[str, Any]],
    prompt_ids: Sequence[int],
    end_ids: Sequence[int],
    vocab_size: int,
) -> list[LogitsProcessor]:
    """The processors that a request asks for by name, in its order.

    Args:
        asked: ``SamplingParams.processors``.
        prompt_ids: Tokens of the prompt.
        end_ids: Tokens that end the text.
        vocab_size: Length V of a row.

    Raises:
        SamplingError: A plugin refuses the values of the request.
        ConfigError: There is no such processor.
        PluginError: It cannot be used.
    """
    found: list[LogitsProcessor] = []
    for name, values in asked.items():
        factory = LOGITS_PROCESSORS.resolve(name)
        options = ProcessorOptions(
            values=dict(values),
            prompt_ids=tuple(prompt_ids),
            end_ids=tuple(end_ids),
            vocab_size=vocab_size,
        )
        with LOGITS_PROCESSORS.named(name):
            try:
                made = factory(options)
            except NanoAccelError:
                raise
            except ValueError as error:
                raise SamplingError(f"processors[{name!r}]: {error}") from error
            LOGITS_PROCESSORS.check_made(name, made)
        found.append(NamedProcessor(name, made))
    return found


class NamedProcessor:
    """A processor whose errors name it; they end its own request and no other.

    Args:
        name: Name of the plugin.
        processor: What it made.
    """

    def __init__(self, name: str, processor: LogitsProcessor) -> None:
        self._name = name
        self._processor = processor

    def apply(self, row: NDArray[np.float32], position: int) -> None:
        """Change a row f32[V] in place.

        Raises:
            GenerationError: The plugin failed, or forbids every token.
        """
        try:
            self._processor.apply(row, position)
        except Exception as error:
            raise self._failure(error) from error
        peak = row.max()
        if not np.isfinite(peak):
            words = "forbids every token" if peak == -np.inf else "gives a logit that is no number"
            raise GenerationError(f"logits processor {self._name!r} {words}")

    def accept(self, token_id: int) -> None:
        """Note a token that was appended to the output.

        Raises:
            GenerationError: The plugin failed.
        """
        try:
            self._processor.accept(token_id)
        except Exception as error:
            raise self._failure(error) from error

    def copy(self) -> NamedProcessor:
        """A processor in the same state.

        Raises:
            GenerationError: The plugin failed.
        """
        try:
            return NamedProcessor(self._name, self._processor.copy())
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> GenerationError:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        return GenerationError(f"logits processor {self._name!r} failed with {line}")
