import numpy as np
import pytest

from nanoaccel.errors import GenerationError
from nanoaccel.runtime.sampling import SamplingSettings
from nanoaccel.runtime.sampling.draw import draw

MODULE = "nanoaccel.runtime.sampling.draw"
SETTINGS = SamplingSettings(temperature=0.7, top_k=900, top_p=0.95, min_p=1e-4)


def a_row() -> np.ndarray:
    return (np.random.default_rng(5).standard_normal(3000) * 3).astype(np.float32)


def test_draw_is_the_same_by_the_library_and_by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    row, numbers = a_row(), np.random.default_rng(6).random(200)
    found = [draw(row, SETTINGS, uniform) for uniform in numbers]
    monkeypatch.setattr(f"{MODULE}.native_draw", lambda: None)
    assert [draw(row, SETTINGS, uniform) for uniform in numbers] == found
    assert len(set(found)) > 20


def test_draw_needs_no_search_for_a_likeliest_that_is_known() -> None:
    row = a_row()
    likeliest = int(row.argmax())
    for uniform in np.random.default_rng(7).random(50):
        assert draw(row, SETTINGS, uniform, likeliest) == draw(row, SETTINGS, uniform)


def test_draw_reads_rows_that_are_not_contiguous() -> None:
    row = a_row()
    assert draw(np.repeat(row, 2)[::2], SETTINGS, 0.4) == draw(row, SETTINGS, 0.4)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_draw_refuses_what_is_no_number(
    monkeypatch: pytest.MonkeyPatch, native: bool, bad: float
) -> None:
    if not native:
        monkeypatch.setattr(f"{MODULE}.native_draw", lambda: None)
    row = a_row()
    row[17] = bad
    for likeliest in (None, 17):
        with pytest.raises(GenerationError, match="not numbers"):
            draw(row, SETTINGS, 0.5, likeliest)
