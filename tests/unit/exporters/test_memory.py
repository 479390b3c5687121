from __future__ import annotations

import pytest

from nanoaccel.exporters.quantize.recipe import PRESETS, Recipe
from nanoaccel.exporters.source.memory import ModelSize, expected_memory

BILLION = 10**9
SMALL = ModelSize(parameters=BILLION, vocabulary=BILLION // 5, block=BILLION // 20)
LARGE = ModelSize(parameters=8 * BILLION, vocabulary=BILLION, block=BILLION // 4)


def test_graph_bytes_count_the_vocabulary_apart() -> None:
    assert SMALL.graph_bytes(Recipe(weights="bf16")) == 2 * BILLION
    assert SMALL.graph_bytes(Recipe(weights="int8")) == BILLION
    assert SMALL.graph_bytes(Recipe()) == pytest.approx(0.8e9 * 4.25 / 8 + 0.2e9)
    assert SMALL.graph_bytes(Recipe(share=0.5)) > SMALL.graph_bytes(Recipe(share=0.9))
    assert SMALL.graph_bytes(Recipe(target_size=12345)) == 12345


def test_expected_memory_grows_with_the_graph_and_not_with_the_original() -> None:
    small, large = (expected_memory(size, 0, Recipe()) for size in (SMALL, LARGE))
    assert large - small == pytest.approx(
        1.05 * (LARGE.graph_bytes(Recipe()) - SMALL.graph_bytes(Recipe()))
    )


def test_expected_memory_counts_weights_that_are_converted() -> None:
    assert expected_memory(LARGE, 4, Recipe()) > 8 * BILLION * 4


def test_expected_memory_counts_what_is_measured_where_layers_differ() -> None:
    wide = ModelSize(parameters=BILLION, vocabulary=0, block=0, words=10**5, outputs=10**6)
    mixed, plain = (expected_memory(wide, 0, recipe) for recipe in (Recipe(share=0.5), Recipe()))
    assert mixed - plain > 256 * 2 * 10**6
    assert expected_memory(wide, 0, Recipe(share=0.5), item=4) > mixed


def test_expected_memory_counts_the_block_that_is_calibrated() -> None:
    wide = ModelSize(parameters=BILLION, vocabulary=0, block=BILLION)
    calibrated, rounded = (
        expected_memory(wide, 0, recipe) for recipe in (PRESETS["balanced"], Recipe())
    )
    assert calibrated - rounded > 2 * BILLION


def test_expected_memory_counts_experts_that_are_put_together() -> None:
    apart, mapped = (expected_memory(LARGE, 0, Recipe(), stacked=n) for n in (10 * BILLION, 0))
    assert apart > 10 * BILLION > mapped
