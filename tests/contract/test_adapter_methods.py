"""The contract of adapter methods, over those that are built in and those of packages."""

from __future__ import annotations

import pytest

from nanoaccel.finetune.adapters.methods import AdapterMethodFactory
from nanoaccel.registry import ADAPTER_METHODS
from nanoaccel.testing.contracts.adapter_method import TestAdapterMethod  # noqa: F401

pytestmark = pytest.mark.export


@pytest.fixture(scope="module", params=ADAPTER_METHODS.names())
def subject(request: pytest.FixtureRequest) -> AdapterMethodFactory:
    made: AdapterMethodFactory = ADAPTER_METHODS.resolve(request.param)
    return made
