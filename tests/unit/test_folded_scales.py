"""What graphs tell of factors between their matrices, and of their modules."""

from __future__ import annotations

import numpy as np
import pytest

from nanoaccel.bundle.folded_scales import FoldedScales
from nanoaccel.bundle.module_rows import ModuleRows, read_modules, write_modules
from nanoaccel.errors import BundleDamagedError


def test_folded_scales_are_read_as_they_are_written() -> None:
    factors = np.array([1, 1, 0.25, 3.5], np.float32)
    read = FoldedScales.parse(str(FoldedScales({"down": factors}, {"up": factors})))
    assert read.inputs.keys() == {"down"}
    np.testing.assert_array_equal(read.inputs["down"], factors)
    np.testing.assert_array_equal(read.outputs["up"], factors)


def test_folded_scales_of_two_steps_are_multiplied() -> None:
    factors = np.array([1, 2, 4], np.float32)
    more = FoldedScales({"a": factors, "b": factors}, {"c": factors})
    both = FoldedScales({"a": factors}, {"c": factors}).with_more(more)
    np.testing.assert_array_equal(both.inputs["a"], factors**2)
    np.testing.assert_array_equal(both.inputs["b"], factors)
    np.testing.assert_array_equal(both.outputs["c"], factors**2)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"inputs": {"a": 1}, "outputs": {}}', '{"inputs": {"a": "AAAA"}}']
)
def test_folded_scales_refuse_what_is_something_else(text: str) -> None:
    with pytest.raises(BundleDamagedError, match="folded_scales"):
        FoldedScales.parse(text)


def test_modules_are_read_as_they_are_written() -> None:
    modules = {"/q+k": [ModuleRows("q", 8), ModuleRows("k", 4)], "/o": [ModuleRows("o", 8)]}
    assert read_modules(write_modules(modules)) == modules


@pytest.mark.parametrize("text", ["", "[]", '{"a": [["q"]]}', '{"a": [["q", "many"]]}'])
def test_modules_refuse_what_is_something_else(text: str) -> None:
    with pytest.raises(BundleDamagedError, match="modules"):
        read_modules(text)
