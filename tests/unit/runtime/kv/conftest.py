from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.disk_tiers import OpenShelf, Shelf


@pytest.fixture
def open_shelf(tmp_path: Path) -> Iterator[OpenShelf]:
    """Opens tiers in one folder and closes them at the end."""
    opened = []

    def open_one(**options: Any) -> Shelf:
        shelf = Shelf(tmp_path / "cache", **options)
        opened.append(shelf)
        return shelf

    yield open_one
    for shelf in opened:
        shelf.close()
