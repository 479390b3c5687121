"""JSON files beside a model's weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nanoaccel.errors import BundleDamagedError

REMEDY = "Export the model again, or copy the file from the original model"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is no file.

    Raises:
        BundleDamagedError: It holds no object.
    """
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleDamagedError(f"{path} cannot be read as JSON: {error}", REMEDY) from error
    if not isinstance(value, dict):
        raise BundleDamagedError(f"{path} holds a {type(value).__name__}, no object", REMEDY)
    return value
