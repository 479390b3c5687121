"""Numbers in pages that claim a measurement, and the files of results that they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.pages import ROOT, prose

RESULTS = ROOT / "benchmarks" / "results"
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_UNITS = (
    r"x\b|\s?%|\s?(?:(?:k|M|G|T)B(?:/s)?|(?:m|µ|u|n)?s|seconds?|minutes?|hours?|nats?|"
    r"tokens/s|tokens a second|times (?:as|of|the))\b"
)
_AND = r"(?:\s?%)?(?: to |-| and |, |, and | or | / | ± |/)"
_CLAIM = re.compile(
    rf"(?<![\w.,/#-])({_NUMBER}(?:{_AND}{_NUMBER})*)(?:{_UNITS})"
    rf"|\bKL (?:of |to the original |is |\w+ )?({_NUMBER})"
    # Ratios stand without a unit.
    r"|(?<![\w.,/#-])(?<!Python )(\d\d?\.\d\d+)(?![\w/]|\.\d)"
)
_IN_TABLE = re.compile(
    rf"(?<![\w.,/#-])({_NUMBER})(?:{_UNITS})|(?<![\w.,/#-])(?<!Python )(\d+\.\d+)(?![\w.])"
)
_FROM = re.compile(r"<!-- from: ([\w, -]+?) -->")
_REGION = re.compile(r"<!-- figures: [\w-]+ -->.*?<!-- end of figures -->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Some lines of a page, the files that they name, and the numbers that need one."""

    text: str
    line: int
    sources: tuple[str, ...]
    numbers: tuple[str, ...]


def paragraphs(page: Path, without: Sequence[str] = ()) -> Iterator[Paragraph]:
    """The paragraphs, list items and tables of a page that claim something by number.

    Code, in blocks and in lines, claims nothing; generated tables have their file. Phrases of
    ``without`` are left out.
    """
    text = _REGION.sub(lambda region: "\n" * region.group().count("\n"), prose(page))
    for match in re.finditer(r"(?:.+\n?)+?(?=\n|\Z|[ ]*[-*] |[ ]*\d+\. |\|)", text):
        whole = match.group()
        bare = re.sub(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->", "", whole, flags=re.DOTALL)
        bare = re.sub(r"\s+", " ", bare)
        for phrase in without:
            bare = bare.replace(one_line_without_code(phrase), "")
        pattern = _IN_TABLE if whole.startswith("|") else _CLAIM
        found = ["".join(groups) for groups in pattern.findall(bare)]
        numbers = tuple(one for run in found for one in re.findall(_NUMBER, run))
        if numbers:
            sources = (
                tuple(", ".join(_FROM.findall(whole)).split(", ")) if "<!-- from" in whole else ()
            )
            yield Paragraph(bare, text.count("\n", 0, match.start()) + 1, sources, numbers)


def one_line_without_code(phrase: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"`[^`]*`|\]\([^)]*\)", "", phrase))


def numbers_in_results(name: str) -> set[str]:
    """All numbers that stand in a file of results."""
    data = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return set(re.findall(_NUMBER, json.dumps([data["columns"], data["rows"], data["beside"]])))
