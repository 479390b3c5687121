"""What a comparison found, in a few lines, and prompt by prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from statistics import median
from typing import Any

from nanoaccel.cli.ui.fidelity_text import nats, percent
from nanoaccel.evaluation.comparison import ComparedAnswers, Comparison
from nanoaccel.evaluation.comparison.result import Answer, Side

_FIDELITY = ("tokens", "kl", "kl_error", "kl_median", "kl_99", "top1_agreement", "top1_error")


def summary_rows(found: Comparison) -> list[tuple[str, str]]:
    """A name and a value each."""
    whole, fidelity = len(found.answers), found.fidelity
    rows = [
        ("A", _side(found.a)),
        ("B", _side(found.b)),
        ("prompts", f"{whole:,}"),
        ("same answers", f"{found.same:,} ({found.same / whole:.0%})"),
    ]
    if found.differences:
        rows.append(("first difference, median", f"token {median(found.differences) + 1:.0f}"))
    if found.expected:
        a, b = found.as_expected
        rows.append(("as expected", f"A {a:,}, B {b:,} of {found.expected:,}"))
    return [
        *rows,
        ("finish reasons", f"A {_reasons(one.a for one in found.answers)}"),
        ("", f"B {_reasons(one.b for one in found.answers)}"),
        ("tokens of A that both read", f"{fidelity.tokens:,}"),
        (
            "KL divergence of B from A, mean",
            f"{nats(fidelity.kl)} ± {nats(fidelity.kl_error)} nats a token",
        ),
        ("... median, 99th percentile", f"{nats(fidelity.kl_median)}, {nats(fidelity.kl_99)}"),
        ("same likeliest token", percent(fidelity.top1_agreement, fidelity.top1_error)),
    ]


def prompt_rows(found: Comparison) -> list[tuple[str, ...]]:
    """A row for each prompt below a row of names."""
    header = ("prompt", "answers", "A", "B", "KL")
    return [header, *(_prompt_row(n, one) for n, one in enumerate(found.answers, 1))]


def outcome(one: ComparedAnswers) -> str:
    """Whether and where two answers part."""
    place = one.first_difference
    return "same" if place is None else f"differ from token {place + 1} on"


def ending(answer: Answer) -> str:
    """How long an answer is, and why it ended."""
    return f"{len(answer.token_ids):,} tokens, {answer.finish_reason}"


def facts(found: Comparison) -> dict[str, Any]:
    """All of it for programs."""
    fidelity = asdict(found.fidelity)
    return {
        "a": _side_facts(found.a),
        "b": _side_facts(found.b),
        "prompts": len(found.answers),
        "same_answers": found.same,
        **{name: fidelity[name] for name in _FIDELITY},
        "answers": [
            {
                "where": one.prompt.where,
                "prompt": one.prompt.text(),
                "expected": one.prompt.expected,
                "a": _answer_facts(one.a),
                "b": _answer_facts(one.b),
                "first_difference": one.first_difference,
                "kl": one.kl,
                "token_kl": [token.kl for token in one.tokens],
            }
            for one in found.answers
        ],
    }


def _prompt_row(number: int, one: ComparedAnswers) -> tuple[str, ...]:
    return (str(number), outcome(one), ending(one.a), ending(one.b), nats(one.kl))


def _side(side: Side) -> str:
    speed = f"{side.tokens:,} tokens, {side.tokens_per_second:.0f} a second"
    return f"{side.name} ({side.backend}): {speed}"


def _reasons(answers: Iterable[Answer]) -> str:
    counts = Counter(answer.finish_reason for answer in answers)
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items()))


def _side_facts(side: Side) -> dict[str, Any]:
    return {**asdict(side), "tokens_per_second": side.tokens_per_second}


def _answer_facts(answer: Answer) -> dict[str, Any]:
    return {
        "text": answer.text,
        "token_ids": list(answer.token_ids),
        "finish_reason": answer.finish_reason,
    }
