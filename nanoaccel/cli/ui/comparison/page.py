"""The page of ``nanoaccel compare``: one file, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from nanoaccel.cli.ui.comparison.summary import ending, outcome, prompt_rows, summary_rows
from nanoaccel.cli.ui.fidelity_text import nats
from nanoaccel.evaluation.comparison import ComparedAnswers, Comparison
from nanoaccel.evaluation.comparison.result import Answer, ReadToken

_SHADES = ((0.05, ""), (0.2, "k1"), (0.5, "k2"), (1.0, "k3"))  # nats, and what is below them
_DARKEST = "k4"
_STYLE = """
body { font-family: system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em;
  color: #0f172a; background: #fff; line-height: 1.5; }
h2 { margin-top: 2em; border-bottom: 1px solid #cbd5e1; }
table { border-collapse: collapse; }
th, td { padding: .15em 1.5em .15em 0; text-align: left; vertical-align: top; }
.note { color: #475569; font-size: .9em; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
.asked { background: #f1f5f9; padding: .6em 1em; border-radius: .4em;
  max-height: 20em; overflow: auto; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 2em; }
.sides > div { min-width: 0; }
.differs { color: #9a3412; border-bottom: 1px solid #fdba74; }
.k1 { background: #dbeafe; } .k2 { background: #bfdbfe; }
.k3 { background: #93c5fd; } .k4 { background: #60a5fa; }
"""


def html_page(found: Comparison) -> str:
    """The page.

    Args:
        found: What it shows.
    """
    title = f"{found.a.name} and {found.b.name}"
    sections = [_section(n, one, found) for n, one in enumerate(found.answers, 1)]
    parts = [
        f"<h1>{escape(title)}</h1>",
        _table(summary_rows(found)),
        f'<p class="note">{_legend()}</p>',
        "<h2>All prompts</h2>",
        _index(prompt_rows(found)),
        *sections,
    ]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _legend() -> str:
    below = " ".join(
        f'<span class="{shade}">&nbsp;{low} nats&nbsp;</span>'
        for (low, _), (_, shade) in zip(_SHADES, [*_SHADES[1:], (0.0, _DARKEST)], strict=True)
    )
    return (
        'What is written <span class="differs">so</span> stands behind the first token that '
        "differs. The background of A's tokens is how far B's prediction is from A's there, "
        f"from {below} up; the pointer over a token shows both."
    )


def _index(rows: Sequence[Sequence[str]]) -> str:
    """The table of prompts, each number a link."""
    header, *rest = rows
    lines = ["<tr>" + "".join(f"<th>{escape(name)}</th>" for name in header) + "</tr>"]
    for number, *cells in rest:
        link = f'<td><a href="#prompt-{number}">{number}</a></td>'
        lines.append(f"<tr>{link}" + "".join(f"<td>{escape(one)}</td>" for one in cells) + "</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _section(number: int, one: ComparedAnswers, found: Comparison) -> str:
    expected = ""
    if one.prompt.expected is not None:
        expected = (
            f'<p class="note">Expected</p>\n<p class="text">{escape(one.prompt.expected)}</p>\n'
        )
    shared = len(one.a.pieces) if one.first_difference is None else one.first_difference
    left = _side("A", found.a.name, one.a, _read_text(one, shared))
    right = _side("B", found.b.name, one.b, _plain_text(one.b.pieces, shared))
    return (
        f'<h2 id="prompt-{number}">Prompt {number}: {escape(outcome(one))}</h2>\n'
        f'<p class="note">{escape(one.prompt.where)}; KL {nats(one.kl)} nats a token</p>\n'
        f'<div class="asked text">{escape(one.prompt.text())}</div>\n{expected}'
        f'<div class="sides">\n{left}\n{right}\n</div>'
    )


def _side(letter: str, name: str, answer: Answer, text: str) -> str:
    return (
        f'<div><p class="note">{letter}, {escape(name)}: {escape(ending(answer))}</p>\n'
        f'<div class="text">{text}</div></div>'
    )


def _read_text(one: ComparedAnswers, shared: int) -> str:
    """A's answer, token by token."""
    parts = []
    for place, (piece, token) in enumerate(zip(one.a.pieces, one.tokens, strict=True)):
        classes = [_shade(token.kl)] if place < shared else [_shade(token.kl), "differs"]
        named = " ".join(filter(None, classes))
        shown = f' class="{named}"' if named else ""
        parts.append(f'<span{shown} title="{escape(_told(token))}">{escape(piece)}</span>')
    return "".join(parts)


def _plain_text(pieces: Sequence[str], shared: int) -> str:
    """B's answer, what differs marked."""
    same, differs = "".join(pieces[:shared]), "".join(pieces[shared:])
    return escape(same) + (f'<span class="differs">{escape(differs)}</span>' if differs else "")


def _shade(kl: float) -> str:
    return next((shade for below, shade in _SHADES if kl < below), _DARKEST)


def _told(token: ReadToken) -> str:
    return (
        f"KL {nats(token.kl)} nats; A {token.probability_a:.1%}, B {token.probability_b:.1%}; "
        f"B's likeliest is {token.likeliest_b!r}, {token.likeliest_probability_b:.1%}"
    )


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>\n" for name, value in rows
    )
    return f"<table>\n{cells}</table>"
