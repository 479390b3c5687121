from __future__ import annotations

from nanoaccel.exporters.quantize.recipe import PRESETS, Recipe
from nanoaccel.exporters.source.memory import expected_memory

BILLION = 10**9


def test_expected_memory_grows_with_the_model() -> None:
    assert expected_memory(2 * BILLION, 2, Recipe()) > expected_memory(BILLION, 2, Recipe())


def test_expected_memory_counts_the_run_of_a_calibration() -> None:
    assert expected_memory(BILLION, 2, PRESETS["balanced"]) > expected_memory(BILLION, 2, Recipe())
    assert expected_memory(BILLION, 2, PRESETS["balanced"]) < 9e9
