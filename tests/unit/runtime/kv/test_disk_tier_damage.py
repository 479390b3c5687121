from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.disk_tiers import Shelf, block_files, wait_until

Limit = Callable[[int | None], None]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of block 1 in a folder that holds nothing else."""
    folder = tmp_path_factory.mktemp("saved")
    shelf = Shelf(folder)
    shelf.save(1)
    shelf.close()
    (file,) = block_files(folder)
    return file


@pytest.fixture(scope="module")
def good(saved: Path) -> bytes:
    """What stands in it."""
    return saved.read_bytes()


def load_of(file: Path, content: bytes) -> bool:
    """Whether block 1 is served from a file with this content; a damaged file is deleted."""
    file.write_bytes(content)
    shelf = Shelf(file.parent)
    try:
        assert shelf.has(1)
        served = shelf.load(1)
        assert file.exists() == shelf.has(1) == served
        assert shelf.tier.stats.damaged == (not served)
        assert shelf.tier.num_bytes == (len(content) if served else 0)
        return served
    finally:
        shelf.close()


def test_disk_tier_serves_the_file_while_it_is_whole(saved: Path, good: bytes) -> None:
    assert load_of(saved, good)


def test_disk_tier_serves_no_file_with_a_changed_byte(saved: Path, good: bytes) -> None:
    for place in range(len(good)):
        changed = bytearray(good)
        changed[place] ^= 1
        assert not load_of(saved, bytes(changed))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_disk_tier_serves_no_damaged_file(saved: Path, good: bytes, data: st.DataObject) -> None:
    places = st.integers(0, len(good))
    start, end = sorted([data.draw(places), data.draw(places)])
    content = good[:start] + data.draw(st.binary(max_size=40)) + good[end:]
    assert load_of(saved, content) == (content == good)


def test_disk_tier_serves_no_truncated_file(saved: Path, good: bytes) -> None:
    for length in range(len(good)):
        assert not load_of(saved, good[:length])


def test_disk_tier_serves_no_renamed_file(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.save_all(1)
    (first,) = block_files(tmp_path)
    shelf.save_all(2)
    (second,) = set(block_files(tmp_path)) - {first}
    other = Shelf(tmp_path / "other", identity="model 2")
    other.save(2)
    other.close()
    (foreign,) = block_files(tmp_path / "other")
    for content in (first, foreign):
        second.write_bytes(content.read_bytes())
        assert not shelf.load(2)
        shelf.save_all(2)
    assert shelf.loadable(1, 2) == [1, 2]
    shelf.close()


def test_disk_tier_warns_of_damage_once_and_saves_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(tmp_path)
    shelf.save_all(1, 2, 3)
    files = block_files(tmp_path)
    for file in files:
        file.write_bytes(b"")
    assert shelf.loadable(1, 2, 3) == []
    assert shelf.tier.stats.damaged == 3
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert any(f"{file} is damaged" in record.getMessage() for file in files)
    shelf.save_all(1, 2, 3)
    assert shelf.loadable(1, 2, 3) == [1, 2, 3]
    shelf.close()


def test_disk_tier_file_that_cannot_be_read_is_not_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(tmp_path)
    shelf.save_all(1)
    (file,) = block_files(tmp_path)
    file.unlink()
    file.mkdir()
    assert not shelf.load(1)
    assert not shelf.has(1)
    assert f"{file} cannot be read" in caplog.text
    shelf.close()


def test_disk_tier_file_that_somebody_deleted_is_absent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(tmp_path)
    shelf.save_all(1)
    block_files(tmp_path)[0].unlink()
    assert not shelf.load(1)
    assert not shelf.has(1)
    assert shelf.tier.num_bytes == 0
    assert not caplog.records
    shelf.save_all(1)
    assert shelf.load(1)
    shelf.close()


@pytest.fixture
def limit_file_size() -> Iterator[Limit]:
    """Makes writes behind so many bytes of a file fail, as they do on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int | None) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before if size is None else (size, before[1]))

    yield limit
    limit(None)


def test_disk_tier_full_disk_stops_saving_for_a_minute(
    tmp_path: Path, limit_file_size: Limit, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    shelf = Shelf(tmp_path, block_bytes=1 << 20, max_bytes=8 << 20, clock=lambda: now[0])
    shelf.save_all(1)
    for minute in range(3):
        now[0] = minute * 61.0
        limit_file_size(100_000)
        assert shelf.save(2)
        wait_until(lambda: not shelf.has(2), "the write to fail")
        limit_file_size(None)
        now[0] += 59.0
        assert not shelf.save(3)
        assert shelf.save(1)
        assert shelf.loadable(1, 2, 3) == [1]
    (record,) = caplog.records
    assert "cannot be written" in record.getMessage()
    assert str(tmp_path) in record.getMessage()
    now[0] += 2.0
    shelf.save_all(2)
    shelf.close()
    assert len(block_files(tmp_path)) == 2
    assert shelf.tier.num_bytes == sum(path.stat().st_size for path in block_files(tmp_path))
