"""Data in another form says the same; parts of it have no row in common."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.training_data import letters, write_lines

from nanoaccel.errors import ConfigError, ExportError, SourceError
from nanoaccel.finetune.data.check import check
from nanoaccel.finetune.data.convert import convert, split
from nanoaccel.finetune.data.read import read_rows
from nanoaccel.finetune.data.records import Row
from nanoaccel.finetune.data.statistics import measure


def read(path: Path) -> list[object]:
    return [row.record for row in read_rows(str(path)) if isinstance(row, Row)]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_convert_there_and_back(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    data = write_lines(tmp_path / "data.jsonl", letters())
    chats, again = tmp_path / f"chats.{kind}", tmp_path / "again.jsonl"
    assert convert(str(data), chats, "messages", skip_broken=False, overwrite=False) == (40, 0)
    convert(str(chats), again, "prompt", skip_broken=False, overwrite=False)
    assert again.read_text() == data.read_text()


def test_convert_to_texts(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "data.jsonl", [{"prompt": "a", "completion": "b"}])
    convert(str(data), tmp_path / "out.jsonl", "text", skip_broken=False, overwrite=False)
    assert (tmp_path / "out.jsonl").read_text() == '{"text": "ab"}\n'


@pytest.mark.parametrize(
    ("row", "form", "what"),
    [
        ({"text": "a"}, "messages", "is plain text"),
        ({"text": "a"}, "prompt", "is plain text"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "prompt", "not one question"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "text", "is a conversation"),
        ({"prompt": "a"}, "messages", "line 1 has a prompt, and no completion"),
    ],
)
def test_convert_refuses_what_does_not_fit(
    tmp_path: Path, row: object, form: str, what: str
) -> None:
    data = write_lines(tmp_path / "data.jsonl", [row])
    with pytest.raises(SourceError, match=what):
        convert(str(data), tmp_path / "out.jsonl", form, skip_broken=False, overwrite=False)  # type: ignore[arg-type]
    assert not (tmp_path / "out.jsonl").exists()


def test_convert_refuses_wrong_options(tmp_path: Path) -> None:
    data = str(write_lines(tmp_path / "data.jsonl", letters(2)))
    with pytest.raises(ConfigError, match="to='poem' is unknown"):
        convert(data, tmp_path / "a.jsonl", "poem", skip_broken=False, overwrite=False)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"Let it end in \.jsonl or \.parquet"):
        convert(data, tmp_path / "a.csv", "text", skip_broken=False, overwrite=False)
    (tmp_path / "a.jsonl").write_text("not one of ours")
    with pytest.raises(ExportError):
        convert(data, tmp_path / "a.jsonl", "text", skip_broken=False, overwrite=True)


def test_split_parts_rows_as_they_are(tmp_path: Path) -> None:
    rows = [{**row, "id": i} for i, row in enumerate(letters())]
    data = write_lines(tmp_path / "data.jsonl", [*rows, *rows])
    sizes = split(str(data), tmp_path / "parts", 0.2, 0, overwrite=False)
    train, held = (
        (tmp_path / "parts" / name).read_text().splitlines()
        for name in ("train.jsonl", "validation.jsonl")
    )
    assert sizes == (len(train), len(held)) == (64, 16)
    assert not {*train} & {*held}
    assert sorted(train + held) == sorted(data.read_text().splitlines())


def test_split_refuses_broken_rows(tmp_path: Path) -> None:
    data = write_lines(tmp_path / "data.jsonl", [*letters(3), {"prompt": "a"}])
    with pytest.raises(SourceError, match="line 4 has a prompt"):
        split(str(data), tmp_path / "parts", 0.2, 0, overwrite=False)
    with pytest.raises(ConfigError, match=r"share=1\.5 is out of range"):
        split(str(data), tmp_path / "parts", 1.5, 0, overwrite=False)


def test_check_names_problems_and_twins(tmp_path: Path) -> None:
    rows = [*letters(2), letters(1)[0], {"text": ""}]
    path = write_lines(tmp_path / "data.jsonl", rows)
    found = check(str(path))
    assert found.rows == 4
    assert [str(one) for one in found.problems] == [f"{path}, line 4 has an empty text"]
    assert [str(one) for one in found.warnings] == [f"{path}, line 3 is the same as {path}, line 1"]
    path.write_text("")
    with pytest.raises(SourceError, match="has no rows"):
        check(str(path))


def test_measure_counts_characters_without_a_model(tmp_path: Path) -> None:
    rows = [{"text": "a" * length} for length in range(1, 101)]
    rows.append(json.loads('{"messages": [{"role": "assistant", "content": "yes"}]}'))
    found = measure(str(write_lines(tmp_path / "data.jsonl", rows)), None)
    assert found.unit == "characters"
    assert (len(found.whole), found.broken) == (101, 0)
    assert found.quantile(0.95) == 95
    bars = found.bars()
    assert sum(count for _, _, count in bars) == 101
    assert bars[0][0] == 1
    assert bars[-1][1] >= 100
