"""Which windows judge a model, and that none of them calibrates it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.encoders import CharacterEncoder, decode

from nanoaccel.calibration.datasets import CalibrationOptions, judging_windows, load_calibration
from nanoaccel.errors import ConfigError, SourceError

ENCODER = CharacterEncoder()
COUNTED = "".join(f"{number:04d}" for number in range(1000))  # every window of it is unique


@pytest.fixture
def counted(tmp_path: Path) -> str:
    path = tmp_path / "counted.txt"
    path.write_text(COUNTED)
    return str(path)


def _options(source: str, length: int) -> CalibrationOptions:
    return CalibrationOptions(source=source, length=length, samples=8, held_out=2)


@pytest.mark.parametrize("length", [16, 37, 50, 99, 128])
@pytest.mark.parametrize("tokens", [1, 200, 10_000])
def test_judging_windows_stand_behind_all_samples(counted: str, length: int, tokens: int) -> None:
    samples = load_calibration(_options(counted, 50), ENCODER, context=200).samples
    judge = judging_windows(_options(counted, length), ENCODER, tokens, 200)
    last = max(COUNTED.index(decode(window)) for window in samples) + 50
    assert judge.samples == ()
    assert min(COUNTED.index(decode(window)) for window in judge.held_out) >= last


def test_judging_windows_are_as_many_as_asked_or_as_there_are(counted: str) -> None:
    few = judging_windows(_options(counted, 20), ENCODER, 100, 200)
    assert [len(window) for window in few.held_out] == [20] * 5
    assert few.name == "counted.txt"
    # A fifth of 4,000 tokens.
    assert len(judging_windows(_options(counted, 20), ENCODER, 10_000, 200).held_out) == 40


def test_judging_windows_of_own_text_are_those_of_docs() -> None:
    own, docs = (
        judging_windows(_options(source, 64), ENCODER, 640, 200) for source in ("self", "docs")
    )
    assert own.digest == docs.digest
    assert len(own.held_out) == 10


def test_judging_windows_of_a_whole_text_begin_at_its_start(counted: str) -> None:
    judge = judging_windows(_options(counted, 30), ENCODER, 95, 200, whole=True)
    assert "".join(map(decode, judge.held_out)) == COUNTED[:90]


def test_judging_windows_refuse_what_does_not_fit(counted: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="length=50 is longer than the model's context, 49"):
        judging_windows(_options(counted, 50), ENCODER, 100, 49)
    (tmp_path / "short.txt").write_text("x" * 40)
    with pytest.raises(SourceError, match=r"short.txt has 40 tokens, and .* no window of 20"):
        judging_windows(_options(str(tmp_path / "short.txt"), 20), ENCODER, 100, 200)
