"""Data sets of the hub: how they are named, streamed and refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.encoders import CharacterEncoder, decode

from nanoaccel.calibration.datasets import CalibrationOptions, load_calibration, windows_of_text
from nanoaccel.calibration.datasets.hub import HubReference, read_hub
from nanoaccel.errors import ConfigError, MissingExtraError, SourceError

ENCODER = CharacterEncoder()


class StubLibrary:
    """Stands for the library datasets: serves rows, and notes what was asked and taken."""

    def __init__(self, rows: Iterator[dict[str, object]]) -> None:
        self._rows = rows
        self.asked: tuple[object, ...] = ()
        self.taken = 0

    def load_dataset(self, name: str, config: str | None, **options: object) -> StubLibrary:
        self.asked = (name, config, options)
        return self

    def __iter__(self) -> Iterator[dict[str, object]]:
        for row in self._rows:
            self.taken += 1
            yield row


def _serve(monkeypatch: pytest.MonkeyPatch, rows: Iterator[dict[str, object]]) -> StubLibrary:
    library = StubLibrary(rows)
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=library.load_dataset))
    return library


def _endless() -> Iterator[dict[str, object]]:
    return ({"text": f"row {number:05d}"} for number in count())  # 11 tokens with the break


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("org/name", HubReference("org/name")),
        ("org/name:test", HubReference("org/name", split="test")),
        ("org/name:en:test", HubReference("org/name", config="en", split="test")),
        ("org/na.me@v1.0", HubReference("org/na.me", revision="v1.0")),
        ("org/name@refs/pr/1:en:test", HubReference("org/name", "refs/pr/1", "en", "test")),
    ],
)
def test_a_reference_is_read(written: str, meant: HubReference) -> None:
    assert HubReference.parse(written, []) == meant
    assert HubReference.parse(str(meant), []) == meant


@pytest.mark.parametrize(
    "written", ["name", "org/", "org/name:", "org/name@", "a/b/c", "org/name:a:b:c", "or g/name"]
)
def test_another_way_of_writing_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match="written as org/name"):
        HubReference.parse(written, ["docs"])


def test_a_stream_is_read_no_further_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    library = _serve(monkeypatch, _endless())
    options = CalibrationOptions(source="org/name@v2:en:test", samples=6, held_out=2, length=20)
    data = load_calibration(options, ENCODER, context=64)
    wanted = {"split": "test", "revision": "v2", "streaming": True}
    assert library.asked == ("org/name", "en", wanted)
    rows = -(-16 * 8 * 20 // 11)
    assert library.taken <= rows + 1
    assert data.name == f"org/name@v2:en:test, first {rows} rows"
    assert load_calibration(options, ENCODER, context=64).digest != data.digest  # the rows went on


def test_a_stream_that_ends_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, iter([{"text": "One."}, {"text": "Two."}]))
    name, [window] = windows_of_text("org/name", ENCODER, 100)
    assert (name, decode(window)) == ("org/name:train", "One.\n\nTwo.\n\n")


def test_windows_of_a_stream_stop_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    library = _serve(monkeypatch, _endless())
    _, windows = windows_of_text("org/name", ENCODER, 22, 3)
    assert [len(window) for window in windows] == [22, 22, 22]
    assert library.taken <= 7


def test_a_stream_without_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, iter([]))
    with pytest.raises(SourceError, match="org/name:train has no text in it"):
        windows_of_text("org/name", ENCODER, 8)


def test_a_row_of_a_wrong_type_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, iter([{"text": "One."}, {"text": 2}]))
    with pytest.raises(SourceError, match="org/name:train, row 2, text is of type int"):
        windows_of_text("org/name", ENCODER, 8)


def test_an_unknown_column_names_the_closest(monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, iter([{"story": "One.", "id": 1}]))
    with pytest.raises(ConfigError, match=r"only story, id\. Did you mean 'story'\?"):
        windows_of_text("org/name", ENCODER, 8, column="stories")


def test_what_the_library_raises_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("Unknown split 'x'.\nMore.")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=fail))
    with pytest.raises(SourceError, match=r"data set org/name:x: Unknown split 'x'\.\. Check"):
        windows_of_text("org/name:x", ENCODER, 8)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"nanoaccel\[calibration\]\""):
        windows_of_text("org/name", ENCODER, 8)


def test_the_real_library_streams_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("datasets")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "train.jsonl").write_text('{"text": "One."}\n{"text": "Two."}\n')
    (tmp_path / "test.jsonl").write_text('{"text": "Three."}\n')
    found = read_hub(HubReference(str(tmp_path), split="test"), None)
    assert [document.text for document in found] == ["Three.\n\n"]
    with pytest.raises(SourceError, match="the hub did not give the data set"):
        list(read_hub(HubReference(str(tmp_path), split="nothing"), None))


def test_code_of_a_data_set_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def load_dataset(
        *_: object, trust_remote_code: bool | None = None, **__: object
    ) -> Iterator[dict[str, object]]:
        asked["code"] = trust_remote_code
        return _endless()

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    next(read_hub(HubReference("org/name"), None))
    assert asked == {"code": False}
