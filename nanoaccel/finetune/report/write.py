"""Writes the report of a training beside what it made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nanoaccel.cached_json import versions_of
from nanoaccel.finetune.report.curves import draw_curves
from nanoaccel.finetune.report.page import html_report, judged_losses
from nanoaccel.finetune.train.history import History

TRAINING = "training.json"
_PAGE, _PICTURE = "report.html", "curves.svg"
_TOOLS = ("nanoaccel", "torch", "transformers", "peft")


def write_report(
    folder: Path,
    title: str,
    rows: Sequence[tuple[str, str]],
    warnings: Sequence[str],
    history: History,
    options: dict[str, Any],
    peak_memory: int,
) -> None:
    """Write training.json, report.html and curves.svg.

    Args:
        folder: Where what was trained stands.
        title: Name of the model and what was trained.
        rows: What was done, a name and a value each.
        warnings: Sentences about the data.
        history: Course of the training.
        options: All that the user chose.
        peak_memory: The most anonymous memory, bytes.
    """
    content = {
        "title": title,
        "options": options,
        "facts": dict(rows),
        "warnings": list(warnings),
        "history": history.to_state(),
        "peak_memory": peak_memory,
        "tools": versions_of(_TOOLS),
    }
    text = json.dumps(content, indent=2, default=str) + "\n"
    (folder / TRAINING).write_text(text, encoding="utf-8")
    (folder / _PAGE).write_text(html_report(title, rows, warnings, history), encoding="utf-8")
    if history.losses:
        picture = draw_curves(history.losses, judged_losses(history.evaluations))
        (folder / _PICTURE).write_text(picture, encoding="utf-8")
