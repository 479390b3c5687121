"""Runs a notebook from top to bottom, as plain Python: cells use nothing of a notebook's own."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any


def cells_of(path: Path) -> list[dict[str, Any]]:
    """The cells with code."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run_notebook(path: Path, **parameters: object) -> tuple[dict[str, Any], list[str]]:
    """Run all cells in their order.

    Args:
        path: The notebook.
        parameters: Values instead of those in the cell that is tagged "parameters"; all of them.

    Returns:
        Names and values at the end, and what cells that end with an expression show.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    shown: list[str] = []
    for number, cell in enumerate(cells_of(path), 1):
        tree = ast.parse("".join(cell["source"]), f"{path.name}, cell {number}")
        if "parameters" in cell["metadata"].get("tags", ()):
            targets = {one.targets[0].id for one in tree.body}  # type: ignore[attr-defined]
            assert targets == set(parameters)
            names.update(parameters)
            continue
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"{path.name}, cell {number}", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), path.name, "eval"), names)
            if value is not None:
                html = getattr(value, "_repr_html_", None)
                shown.append(repr(value) if html is None else html())
    return names, shown
