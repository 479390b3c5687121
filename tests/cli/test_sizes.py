from __future__ import annotations

import pytest

from nanoaccel.cli.ui.sizes import binary_bytes_text, bytes_text, count_text
from nanoaccel.cli.ui.table import table
from nanoaccel.errors import ConfigError
from nanoaccel.sizes import parse_bytes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("1234", 1234),
        ("512MB", 512_000_000),
        ("2 GB", 2_000_000_000),
        ("1.5gib", 1_610_612_736),
        ("1kB", 1000),
        (" 3KiB ", 3072),
    ],
)
def test_parse_bytes_reads_sizes(text: str, count: int) -> None:
    assert parse_bytes("--size", text) == count


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1 mile", "1e9", "1,5GB", "nan"])
def test_parse_bytes_refuses_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigError, match="--size"):
        parse_bytes("--size", text)


def test_sizes_are_written_for_people() -> None:
    assert bytes_text(0) == "0 B"
    assert bytes_text(999) == "999 B"
    assert bytes_text(84_952_837) == "85.0 MB"
    assert binary_bytes_text(84_952_837) == "81.02 MiB"
    assert count_text(134_515_008) == "134.52 M"
    assert count_text(12) == "12"
    assert bytes_text(5e16) == "50000.0 TB"


def test_table_aligns_and_escapes() -> None:
    assert table([("a", "1"), ("long", "\x1b[2J\n"), ("", "")], indent=2) == (
        "  a     1\n  long  \\x1b[2J\\n\n"
    )
