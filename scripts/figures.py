"""Writes the figures of benchmarks/results into pages and pictures, and the page that lists them.

python scripts/figures.py           write
python scripts/figures.py --check   exit with 1 when a page is not what it would write

A page asks for a table with "<!-- figures: NAME -->", and closes it with "<!-- end of figures -->".
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_RESULTS = _ROOT / "benchmarks" / "results"
_PICTURES = {"peers": _ROOT / "docs" / "images" / "peers.svg"}
_LIST = _ROOT / "docs" / "reference" / "figures.md"
_REGION = re.compile(r"(<!-- figures: ([\w-]+) -->\n\n).*?(\n\n<!-- end of figures -->)", re.DOTALL)
_HEAD = """\
# Where figures come from

<!-- Written by python scripts/figures.py; do not edit. -->

Every measured figure in these pages stands in a file of `benchmarks/results`, with the machine
and the command that measured it. Versions are those that `constraints.txt` pinned on that day. A
figure holds for that machine and those versions: [how it is
measured](../explanation/methodology.md).
"""


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured in one go; without rows, only single figures beside."""

    name: str
    what: str
    machine: str
    date: str
    versions: str
    command: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    beside: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read a file; ValueError when a row has not a cell for each column."""
        data = json.loads(path.read_text(encoding="utf-8"))
        texts = {key: data.pop(key) for key in ("what", "machine", "date", "versions", "command")}
        columns, rows = tuple(data.pop("columns")), tuple(map(tuple, data.pop("rows")))
        beside = tuple(data.pop("beside"))
        if data or any(len(row) != len(columns) for row in rows):
            raise ValueError(f"{path}: keys {sorted(data)}, or rows unlike the columns")
        return cls(path.stem, **texts, columns=columns, rows=rows, beside=beside)

    def table(self) -> str:
        """The rows as Markdown; links in them lead from a page in a folder of docs."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return "\n".join(
            "|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines
        )


def all_results() -> dict[str, Results]:
    """Every file of results, by name."""
    return {path.stem: Results.read(path) for path in sorted(_RESULTS.glob("*.json"))}


def pages() -> list[Path]:
    """The pages that may show figures."""
    return [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]


def filled(text: str, results: dict[str, Results]) -> str:
    """A page with its tables as the files have them; KeyError when a file is missing."""
    return _REGION.sub(lambda at: at[1] + results[at[2]].table() + at[3], text)


def listed(results: dict[str, Results]) -> str:
    """The page that lists all files."""
    parts = [_HEAD]
    for one in results.values():
        facts = (
            f"{one.machine}; {one.date}; {one.versions}"
            if one.versions
            else f"{one.machine}; {one.date}"
        )
        lines = [f"## {one.name}", "", f"{one.what}. {facts}.", "", "```sh", one.command, "```"]
        if one.rows:
            lines += ["", one.table()]
        lines += ["", *(f"- {fact}" for fact in one.beside)] if one.beside else []
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def picture(name: str) -> str:
    """The picture of a file of benchmarks/results/pictures, as SVG."""
    sys.path.insert(0, str(_ROOT))
    from benchmarks.harness.results import Results as Run
    from benchmarks.peers.pictures import draw

    run = Run.load(_RESULTS / "pictures" / f"{name}.json")
    return draw(run, run.rows)


def main() -> int:
    """Write or check; gives the exit code."""
    parser = argparse.ArgumentParser(description="Write measured figures into the pages.")
    parser.add_argument("--check", action="store_true", help="only say which pages are not current")
    check = parser.parse_args().check
    results = all_results()
    wanted = {page: filled(page.read_text(encoding="utf-8"), results) for page in pages()}
    wanted[_LIST] = listed(results)
    wanted |= {path: picture(name) for name, path in _PICTURES.items()}
    stale = [
        page
        for page, text in wanted.items()
        if not page.is_file() or page.read_text(encoding="utf-8") != text
    ]
    for page in stale:
        if check:
            print(
                f"{page.relative_to(_ROOT)} is not current. Run: python scripts/figures.py",
                file=sys.stderr,
            )
        else:
            page.write_text(wanted[page], encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
