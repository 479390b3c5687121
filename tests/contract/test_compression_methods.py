"""The contract of compression methods, over those that are built in and those of packages."""

from __future__ import annotations

import pytest

from nanoaccel.exporters.quantize.methods import CompressionMethodFactory
from nanoaccel.registry import COMPRESSION_METHODS
from nanoaccel.testing.contracts.compression_method import TestCompressionMethod  # noqa: F401

pytestmark = pytest.mark.export


@pytest.fixture(scope="module", params=COMPRESSION_METHODS.names())
def subject(request: pytest.FixtureRequest) -> CompressionMethodFactory:
    made: CompressionMethodFactory = COMPRESSION_METHODS.resolve(request.param)
    return made
