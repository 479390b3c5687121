from __future__ import annotations

from dataclasses import replace

import pytest

from nanoaccel.runtime.native import Operators, find_operators
from nanoaccel.runtime.native.int8_rate import int8_products

OPERATORS = find_operators()


def test_int8_products_are_not_known_without_operators() -> None:
    assert int8_products(1, operators=Operators(None)) is None


@pytest.mark.skipif(OPERATORS.library is None, reason=OPERATORS.reason)
@pytest.mark.parametrize("path", OPERATORS.paths)
def test_int8_products_of_every_path(path: str) -> None:
    found = int8_products(1, 0.01, replace(OPERATORS, path=path))
    assert found is not None
    assert found > 1e7
