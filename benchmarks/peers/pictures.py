"""Draws a file of results as SVG: a bar for each engine, a line over the middle half.

    python -m benchmarks.peers.pictures RESULTS.json OUT.svg [--rows "decode 1" "prefill 512"]

Plain text without a plotting library. Colors follow the reader's light or dark scheme.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.harness.figures import Quartiles
from benchmarks.harness.results import Results, Row, caption

WIDTH, LEFT, RIGHT = 760, 168, 130
BAR, GAP, HEAD, FOOT = 16, 6, 34, 30
STYLE = """
  svg { font-family: system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif }
  .ground { fill: #f5f7f8 } .title { fill: #1c262b; font-size: 14px; font-weight: 600 }
  .label { fill: #37474f; font-size: 12px } .note { fill: #607d8b; font-size: 10px }
  .ours { fill: #1976d2 } .theirs { fill: #90a4ae } .spread { stroke: #1c262b; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #1c262b } .title { fill: #eceff1 } .label { fill: #cfd8dc }
    .note { fill: #90a4ae } .ours { fill: #64b5f6 } .theirs { fill: #607d8b }
    .spread { stroke: #eceff1 }
  }
"""


def draw(results: Results, rows: Sequence[Row]) -> str:
    """An SVG with a group of bars for each row, best first."""
    parts, top = [], 10.0
    for row in rows:
        drawn, height = _group(row, top)
        parts += drawn
        top += height
    parts += _notes(caption(results), top + 14)
    height = top + FOOT + 12
    names = ", ".join(row.name for row in rows)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
            'role="img" aria-labelledby="t">',
            f'  <title id="t">{escape(names)} of each engine</title>',
            f"  <style>{STYLE}  </style>",
            f'  <rect class="ground" width="{WIDTH}" height="{height:.0f}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _group(row: Row, top: float) -> tuple[list[str], float]:
    """The bars of a row, and their height."""
    spreads = {name: Quartiles.of(figures) for name, figures in row.figures.items()}
    order = sorted(spreads, key=lambda name: spreads[name].middle, reverse=row.higher)
    longest = max(spread.high for spread in spreads.values())
    scale = (WIDTH - LEFT - RIGHT) / longest if longest > 0 else 0.0
    better = "more" if row.higher else "less"
    title = f"{row.name}, {row.unit} ({better} is better)"
    parts = [_text("title", 14, top + 20, title)]
    y = top + HEAD
    for name in order:
        spread = spreads[name]
        kind = "ours" if name.startswith("nanoaccel") else "theirs"
        middle = y + BAR / 2
        low, high = (LEFT + scale * x for x in (spread.low, spread.high))
        parts += [
            _text("label", LEFT - 8, middle + 4, name, ' text-anchor="end"'),
            f'  <rect class="{kind}" x="{LEFT}" y="{y:.1f}" '
            f'width="{scale * spread.middle:.1f}" height="{BAR}" rx="2"/>',
            f'  <line class="spread" x1="{low:.1f}" y1="{middle:.1f}" x2="{high:.1f}" '
            f'y2="{middle:.1f}"/>',
            _text("label", max(high, LEFT) + 8, middle + 4, _number(spread.middle)),
        ]
        y += BAR + GAP
    return parts, y - top + 4


def _number(figure: float) -> str:
    return f"{figure:.2f}" if figure < 10 else f"{figure:.0f}"


def _notes(text: str, y: float) -> list[str]:
    """The caption in two lines."""
    first, _, rest = text.partition("; ")
    return [_text("note", 14, y, first), _text("note", 14, y + 14, rest)]


def _text(kind: str, x: float, y: float, text: str, more: str = "") -> str:
    return f'  <text class="{kind}" x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="file of benchmarks.peers.run --json")
    parser.add_argument("out", type=Path, help="the SVG file")
    parser.add_argument("--rows", nargs="+", help="names of rows; default: all")
    arguments = parser.parse_args(argv)
    try:
        results = Results.load(arguments.results)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    known = {row.name: row for row in results.rows}
    wanted = list(known) if arguments.rows is None else arguments.rows
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"no row {unknown[0]!r}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    arguments.out.write_text(draw(results, [known[name] for name in wanted]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
