"""How a request is rotated where that depends on the length of its text."""

from __future__ import annotations

import pytest

from nanoaccel.bundle.long_factors import LongFactors
from nanoaccel.runtime.scheduling.text_rotation import TextRotation

FACTORS = LongFactors(border=64, offset=4096)


@pytest.mark.parametrize(("length", "shift"), [(1, 0), (64, 0), (65, 4096), (4096, 4096)])
def test_text_rotation_shifts_all_of_a_long_text(length: int, shift: int) -> None:
    rotation = TextRotation(FACTORS)
    assert rotation.shift(length) == shift
    assert (rotation.cache_key(length) == TextRotation(None).cache_key(length)) == (shift == 0)


def test_text_rotation_outgrows_what_was_computed_short() -> None:
    rotation = TextRotation(FACTORS)
    assert not rotation.is_outgrown(65)  # nothing is computed yet
    rotation.begin(60)
    assert [rotation.is_outgrown(length) for length in (60, 64, 65)] == [False, False, True]
    rotation.forget()
    assert not rotation.is_outgrown(65)
    rotation.begin(65)
    assert not rotation.is_outgrown(70)


def test_text_rotation_has_room_up_to_the_border_of_a_short_text() -> None:
    rotation = TextRotation(FACTORS)
    assert [rotation.room(length) for length in (60, 64, 65)] == [4, 0, None]


def test_texts_of_other_models_are_all_alike() -> None:
    rotation = TextRotation(None)
    rotation.begin(60)
    assert (rotation.shift(9999), rotation.room(60), rotation.is_outgrown(9999)) == (0, None, False)
