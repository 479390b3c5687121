"""Which windows of a text are chosen, and what is said when there are too few."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.encoders import CharacterEncoder, decode

from nanoaccel.calibration.datasets import (
    CalibrationData,
    CalibrationOptions,
    load_calibration,
    windows_of_text,
)
from nanoaccel.calibration.datasets.windows import choose_windows
from nanoaccel.errors import ConfigError, SourceError

ENCODER = CharacterEncoder()
COUNTED = "".join(f"{number:04d}" for number in range(1000))  # every window of it is unique


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    path = tmp_path / "counted.txt"
    path.write_text(COUNTED)
    return path


def _load(path: Path | str, **more: int) -> CalibrationData:
    options = CalibrationOptions(
        source=str(path), **{"samples": 6, "held_out": 3, "length": 40, **more}
    )
    return load_calibration(options, ENCODER, context=4096)


@given(
    samples=st.integers(1, 40),
    held_out=st.integers(0, 40),
    more=st.integers(0, 500),
    seed=st.integers(0, 2**40),
)
def test_places_are_apart_and_spread(samples: int, held_out: int, more: int, seed: int) -> None:
    total = samples + held_out + more
    first, last = choose_windows(total, samples, held_out, seed)
    assert (len(first), len(last)) == (samples, held_out)
    places = first + last
    assert places == sorted(set(places))
    assert places[0] >= 0
    assert places[-1] < total
    # No stretch of the text is passed over: gaps are shorter than two even steps.
    step = total / (samples + held_out)
    assert max(np.diff([-1, *places, total])) <= 2 * step + 2
    assert choose_windows(total, samples, held_out, seed) == (first, last)


def test_windows_have_the_length_and_are_pieces_of_the_text(counted: Path) -> None:
    data = _load(counted)
    assert (len(data.samples), len(data.held_out)) == (6, 3)
    places = []
    for window in (*data.samples, *data.held_out):
        assert (window.shape, window.dtype) == ((40,), np.int64)
        places.append(COUNTED.index(decode(window)))
    assert len(set(places)) == 9
    assert max(places[:6]) + 40 <= min(places[6:])
    assert data.name == "counted.txt"


def test_the_seed_chooses_the_windows(counted: Path) -> None:
    assert _load(counted).digest == _load(counted).digest
    assert _load(counted).digest != _load(counted, seed=1).digest


def test_digest_tells_samples_from_held_out_windows() -> None:
    one, two = np.arange(4), np.arange(4, 8)
    digests = {
        CalibrationData("", (one, two), ()).digest,
        CalibrationData("", (one,), (two,)).digest,
        CalibrationData("", (two,), (one,)).digest,
        CalibrationData("", (np.arange(8),), ()).digest,
    }
    assert len(digests) == 4
    assert CalibrationData("other", (one,), (two,)).digest in digests


def test_windows_begin_as_every_text_of_the_model_does(counted: Path) -> None:
    options = CalibrationOptions(source=str(counted), samples=4, held_out=2, length=40)
    plain = load_calibration(options, ENCODER, context=40)
    begun = load_calibration(options, CharacterEncoder("^"), context=40)
    for with_begin, without in zip(begun.samples, plain.samples, strict=True):
        assert decode(with_begin) == "^" + decode(without[1:])


def test_docs_come_with_python() -> None:
    data = load_calibration(CalibrationOptions(source="docs"), ENCODER, context=256)
    assert (len(data.samples), len(data.held_out)) == (64, 16)
    version = platform.python_version().rsplit(".", 1)[0]
    assert data.name == f"Python's language reference (pydoc topics, CPython {version})"


def test_self_takes_what_the_model_writes() -> None:
    asked = []

    def write(count: int) -> list[np.ndarray]:
        asked.append(count)
        return [np.full(8, index) for index in range(count)]

    options = CalibrationOptions(source="self", samples=3, held_out=2, length=8, seed=5)
    data = load_calibration(options, ENCODER, context=8, own_text=write)
    assert asked == [5]
    assert [window[0] for window in data.samples] == [0, 1, 2]
    assert [window[0] for window in data.held_out] == [3, 4]
    assert data.name == "the model's own text (seed 5)"


def test_self_needs_a_model() -> None:
    with pytest.raises(ConfigError, match="no model to write it"):
        load_calibration(CalibrationOptions(source="self"), ENCODER, context=4096)


def test_a_short_text_tells_what_it_has_and_what_it_needs(counted: Path) -> None:
    with pytest.raises(SourceError, match=r"4000 tokens, and 98 samples .* need 4040"):
        _load(counted, samples=98)
    assert _load(counted, samples=97).samples[0].shape == (40,)  # all that there is


def test_a_blank_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "blank.md"
    path.write_text(" \n")
    with pytest.raises(SourceError, match=r"blank\.md has no text in it"):
        _load(path)
    with pytest.raises(SourceError, match=r"blank\.md has no text in it"):
        windows_of_text(str(path), ENCODER, 16)


def test_a_window_longer_than_the_context_is_refused(counted: Path) -> None:
    with pytest.raises(ConfigError, match=r"length=40 .* context, 32\. Choose at most 32"):
        load_calibration(CalibrationOptions(source=str(counted), length=40), ENCODER, context=32)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"samples": 0}, "samples=0 is out of range. It must be 1 or more"),
        ({"length": 1}, "length=1 is out of range. It must be 2 or more"),
        ({"held_out": -1}, "held_out=-1 is out of range. It must be 0 or more"),
        ({"seed": -1}, "seed=-1 is out of range. It must be 0 or more"),
        ({"source": ""}, "source is empty"),
        ({"source": "docs", "column": "text"}, "column='text' is out of place: docs has none"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        CalibrationOptions(**wrong)  # type: ignore[arg-type]
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("missing.txt", SourceError, "missing.txt does not exist"),
        ("./missing", SourceError, "./missing does not exist"),
        ("dosc", ConfigError, "Did you mean 'docs'?"),
        ("a/b:c:d:e", ConfigError, "org/name[@revision][:config][:split]"),
    ],
)
def test_a_source_that_stands_for_nothing_is_refused(
    source: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        _load(source)
    assert message in str(raised.value)


@given(count=st.integers(2, 400), length=st.integers(2, 60), limit=st.integers(1, 20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # written anew each time
def test_a_whole_text_is_cut_without_gaps(
    tmp_path: Path, count: int, length: int, limit: int
) -> None:
    path = tmp_path / "text.txt"
    path.write_text(COUNTED[:count])
    name, windows = windows_of_text(str(path), ENCODER, length)
    together = "".join(decode(window) for window in windows)
    assert name == "text.txt"
    assert COUNTED[:count].startswith(together)
    assert count - len(together) <= 1
    assert all(len(window) == length for window in windows[:-1])
    assert 2 <= len(windows[-1]) <= length
    assert [*map(decode, windows_of_text(str(path), ENCODER, length, limit)[1])] == [
        *map(decode, windows[:limit])
    ]


@pytest.mark.parametrize(("length", "limit"), [(1, None), (8, 0)])
def test_windows_out_of_range_are_refused(counted: Path, length: int, limit: int | None) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        windows_of_text(str(counted), ENCODER, length, limit)


def test_a_model_cannot_be_judged_on_a_text_not_yet_written() -> None:
    with pytest.raises(ConfigError, match="'self' needs a model"):
        windows_of_text("self", ENCODER, 8)
