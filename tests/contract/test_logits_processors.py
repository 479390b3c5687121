"""The contract of logits processors, over those that parameters stand for and those of packages."""

from __future__ import annotations

from typing import Any

import pytest

from nanoaccel.registry import LOGITS_PROCESSORS
from nanoaccel.runtime.sampling.plugged import ProcessorFactory, ProcessorOptions
from nanoaccel.runtime.sampling.processors import LogitBias, MinTokens, Penalties
from nanoaccel.testing.contracts.logits_processor import TestLogitsProcessor  # noqa: F401


def penalties(options: ProcessorOptions) -> Penalties:
    return Penalties(1.3, 0.2, 0.1, options.prompt_ids)


def bias(_: ProcessorOptions) -> LogitBias:
    return LogitBias([1, 5], [3.0, -100.0])


def min_tokens(options: ProcessorOptions) -> MinTokens:
    return MinTokens(12, options.end_ids)


BUILT_IN = {"penalties": penalties, "bias": bias, "min_tokens": min_tokens}


@pytest.fixture(scope="module", params=[*BUILT_IN, *LOGITS_PROCESSORS.names()])
def subject(request: pytest.FixtureRequest) -> ProcessorFactory:
    made: ProcessorFactory
    made = BUILT_IN.get(request.param) or LOGITS_PROCESSORS.resolve(request.param)
    return made


@pytest.fixture(scope="module")
def nanoaccel_values() -> dict[str, Any]:
    return {}
