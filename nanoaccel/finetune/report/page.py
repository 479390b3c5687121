"""The page about a training: one file, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from nanoaccel.finetune.events import Evaluated
from nanoaccel.finetune.report.curves import draw_curves
from nanoaccel.finetune.train.history import History

_STYLE = """
body { font-family: system-ui, sans-serif; max-width: 900px; margin: 2em auto; padding: 0 1em;
  color: #0f172a; background: #fff; line-height: 1.45; }
h2 { margin-top: 2em; border-bottom: 1px solid #cbd5e1; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3em 1em .3em 0; text-align: left; vertical-align: top; }
td pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; }
"""


def html_report(
    title: str, rows: Sequence[tuple[str, str]], warnings: Sequence[str], history: History
) -> str:
    """The page.

    Args:
        title: Name of the model and what was trained.
        rows: What was done, a name and a value each.
        warnings: Sentences about the data.
        history: Course of the training.
    """
    judged = judged_losses(history.evaluations)
    parts = [f"<h1>{escape(title)}</h1>", _table((), rows)]
    parts += [f"<p>Warning: {escape(warning)}.</p>" for warning in warnings]
    if history.losses:
        parts += ["<h2>Loss</h2>", draw_curves(history.losses, judged)]
    if judged:
        cells = [(str(step), f"{loss:.4f}") for step, loss in judged]
        parts += ["<h2>Validation set</h2>", _table(("step", "loss, nats a token"), cells)]
    parts += _samples(history.evaluations)
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def judged_losses(evaluations: Sequence[Evaluated]) -> list[tuple[int, float]]:
    """Steps that were done, and the loss of the validation set behind them."""
    return [(one.step, one.loss) for one in evaluations if one.loss is not None]


def _samples(evaluations: Sequence[Evaluated]) -> list[str]:
    """Answers before and after, side by side."""
    if not evaluations or not evaluations[0].samples:
        return []
    first, last = evaluations[0], evaluations[-1]
    rows = [
        (before.prompt, before.expected, before.answer, after.answer)
        for before, after in zip(first.samples, last.samples, strict=True)
    ]
    header = ("prompt (its end)", "expected", "before", f"behind step {last.step}")
    return ["<h2>Answers</h2>", _table(header, rows)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = "\n".join(
        "<tr>" + "".join(f"<td><pre>{escape(cell)}</pre></td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table>\n{f'<tr>{head}</tr>' if header else ''}\n{lines}\n</table>"
