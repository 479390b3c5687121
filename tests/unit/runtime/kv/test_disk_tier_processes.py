from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import support
from support.disk_tiers import Shelf, size_of

from nanoaccel.errors import PromptCacheError

KILLS = 8
LIVES = 0.1  # seconds that a writer has at most
BLOCK_BYTES = 200_000
MAX_BYTES = 20 * (BLOCK_BYTES + 200)

WRITER = f"""
import sys
from itertools import count
from pathlib import Path
from support.disk_tiers import Shelf

shelf = Shelf(Path(sys.argv[1]), block_bytes={BLOCK_BYTES}, max_bytes={MAX_BYTES})
print("open", flush=True)
for number in count(int(sys.argv[2])):
    while not shelf.save(number):
        pass
    shelf.load(number - 3)
"""


@contextmanager
def writer(folder: Path, first: int) -> Iterator[subprocess.Popen[str]]:
    """A process that saves blocks until it is killed."""
    tests = Path(support.__path__[0]).parent
    command = [sys.executable, "-c", WRITER, str(folder), str(first)]
    environment = os.environ | {"PYTHONPATH": str(tests)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process
            assert process.poll() is None, "it ended by itself"
        finally:
            process.kill()


def test_disk_tier_killed_writer_leaves_no_wrong_block(tmp_path: Path) -> None:
    served = 0
    dice = random.Random(0)
    for kill in range(KILLS):
        first = kill * 10_000
        with writer(tmp_path, first):
            time.sleep(dice.uniform(0, LIVES))
        assert size_of(tmp_path) <= MAX_BYTES
        shelf = Shelf(tmp_path, block_bytes=BLOCK_BYTES, max_bytes=MAX_BYTES)
        served += len(shelf.loadable(*range(first, first + 1000)))
        assert shelf.tier.stats.damaged == 0
        assert shelf.tier.num_bytes == size_of(tmp_path)
        shelf.close()
    assert served > 0


def test_disk_tier_used_by_another_process_is_refused_until_it_ends(tmp_path: Path) -> None:
    with (
        writer(tmp_path, 0) as process,
        pytest.raises(PromptCacheError, match=f"in use by process {process.pid}"),
    ):
        Shelf(tmp_path)
    Shelf(tmp_path).close()
