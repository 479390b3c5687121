"""How a graph is told which texts are long."""

from __future__ import annotations

import pytest

from nanoaccel.bundle.long_factors import LongFactors
from nanoaccel.errors import BundleDamagedError


def test_long_factors_are_read_as_they_are_written() -> None:
    factors = LongFactors(border=4096, offset=131072)
    assert LongFactors.parse(str(factors)) == factors


@pytest.mark.parametrize("text", ["", "4096", "4096,", "1,2,3", "short,long"])
def test_long_factors_refuse_what_is_something_else(text: str) -> None:
    with pytest.raises(BundleDamagedError, match="long_factors"):
        LongFactors.parse(text)
