"""The house's limits: sizes of files and functions, and how many files lie loose."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import grimp
import pytest

PACKAGE = Path(__file__).parents[2] / "nanoaccel"
FILE_LINES, MEDIAN_LINES, FUNCTION_LINES, LOOSE_FILES = 350, 120, 60, 8


def sources() -> dict[str, str]:
    """Files of the package and what stands in them."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in files}


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Name and lines of each function, its signature and docstring included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_files_are_short() -> None:
    lines = {path: len(source.splitlines()) for path, source in sources().items()}
    assert {path: count for path, count in lines.items() if count > FILE_LINES} == {}
    assert median(lines.values()) < MEDIAN_LINES


def test_functions_are_short() -> None:
    found = {
        f"{path}: {name}": lines
        for path, source in sources().items()
        for name, lines in functions(source)
        if lines > FUNCTION_LINES
    }
    assert found == {}


def test_no_imports_run_in_a_circle() -> None:
    graph = grimp.build_graph("nanoaccel")
    imports = {one: graph.find_modules_directly_imported_by(one) for one in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, with the circle


@pytest.mark.parametrize("room", ["runtime", "exporters"])
def test_few_files_lie_loose(room: str) -> None:
    loose = sorted(
        path.name for path in (PACKAGE / room).glob("*.py") if path.name != "__init__.py"
    )
    assert loose[LOOSE_FILES:] == [], f"{len(loose)} files: {', '.join(loose)}"
