"""Speculative decoding beside plain decoding, as users meet it: the same prompts, in turn.

    python -m benchmarks.studies.speculation [--bundle FOLDER] [--ways ngram auto] [--batch 1]
    python -m benchmarks.studies.speculation --prompts unseen
    python -m benchmarks.studies.speculation --fresh 4 [--cache none] [--batch 8]

Each way runs in a process of its own, on the same cores, one at a time; "off" is plain decoding,
which loads no draft. Each prompt is answered in all ways one right after the other, greedily, and
whole answers are timed, from the request to the last token, so the prompt counts. Who begins
changes from prompt to prompt. With --batch, so many prompts of all kinds run at once.

The prompts are in benchmarks/prompts: ten of each of eight kinds, or the unseen ones. Random tokens
are the worst case. With --fresh, new processes are started after so many groups of prompts, and a
row is the first group of a process, its second, and so on; --cache none lets them begin without
the pass times that were measured before.

A turn in which other programs had more than --quiet of the machine is asked once more.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.harness.exports import Exports
from benchmarks.harness.figures import table
from benchmarks.harness.machine import machine
from benchmarks.harness.prompts import prompt_kinds, prompts_of, unseen_dialogues
from benchmarks.studies.ways import PLAIN, Group, Turn, Ways
from nanoaccel.folders import cache_folder

RANDOM = "random tokens"
_RANDOM_PROMPTS, _RANDOM_LENGTHS = 10, (8, 256)
_WARM_UP = 3  # groups that are not counted


def groups_of(arguments: argparse.Namespace, vocab_size: int) -> list[Group]:
    """All prompts, so many at once."""
    if arguments.prompts == "unseen":
        dialogues = {kind: list(found) for kind, found in unseen_dialogues().items()}
    else:
        dialogues = {kind: [[text] for text in prompts_of(kind)] for kind in prompt_kinds()}
    groups = [
        Group(kind, [dialogue])
        for kind, found in dialogues.items()
        for dialogue in found[: arguments.each]
    ]
    source = random.Random(RANDOM)
    ids = range(vocab_size // 50, vocab_size * 2 // 5)  # neither special nor rare
    groups += [
        Group(RANDOM, [[source.choices(ids, k=source.randint(*_RANDOM_LENGTHS))]], ignore_eos=True)
        for _ in range(_RANDOM_PROMPTS)
    ][: arguments.each]
    if arguments.kinds is not None:
        groups = [group for group in groups if group.kind in arguments.kinds]
    if arguments.batch == 1 and arguments.fresh == 0:
        return groups
    random.Random(0).shuffle(groups)
    if arguments.batch == 1:
        return groups
    texts = [group.dialogues[0] for group in groups if group.kind != RANDOM]
    size = arguments.batch
    return [
        Group(f"{size} at once", texts[start : start + size])
        for start in range(0, len(texts) - size + 1, size)
    ]


def warm_turns(arguments: argparse.Namespace, bundle: Path) -> Iterator[Turn]:
    """All groups, asked of processes that go on."""
    with _started(arguments, bundle, None) as ways:
        groups = groups_of(arguments, ways.vocab_size)
        for turn, group in enumerate(groups[-_WARM_UP:]):
            ways.ask(group, turn, arguments.generate, arguments.temperature)
        for round_ in range(arguments.rounds):
            for turn, group in enumerate(groups, round_):
                yield _quiet_turn(arguments, ways, group, turn)


def fresh_turns(arguments: argparse.Namespace, bundle: Path) -> Iterator[Turn]:
    """All groups, the processes being new after every few of them; kinds are their places."""
    stored = {"none": Path(), "kept": cache_folder()}[arguments.cache]
    with _started(arguments, bundle, None) as ways:
        groups = groups_of(arguments, ways.vocab_size)
    loads: dict[str, list[float]] = {way: [] for way in (PLAIN, *arguments.ways)}
    for start in range(0, len(groups), arguments.fresh):
        with _started(arguments, bundle, stored) as ways:
            for way, seconds in ways.load_seconds.items():
                loads[way].append(seconds)
            for place, group in enumerate(groups[start : start + arguments.fresh]):
                found = ways.ask(group, start + place, arguments.generate, arguments.temperature)
                yield Turn(f"{place + 1} of a process", found.answers)
    shown = ", ".join(f"{way} {statistics.median(found):.2f} s" for way, found in loads.items())
    print(f"until a process answers: {shown}")


def _started(arguments: argparse.Namespace, bundle: Path, stored: Path | None) -> Ways:
    options: dict[str, object] = {"backend": arguments.backend}
    if arguments.draft is not None:
        options["draft"] = str(arguments.draft)
    return Ways(bundle, [PLAIN, *arguments.ways], options, stored)


def _quiet_turn(arguments: argparse.Namespace, ways: Ways, group: Group, turn: int) -> Turn:
    """A turn that others hardly disturbed, or else the second one."""
    found = ways.ask(group, turn, arguments.generate, arguments.temperature)
    if found.disturbed <= arguments.quiet:
        return found
    return ways.ask(group, turn, arguments.generate, arguments.temperature)


def report(turns: Sequence[Turn], ways: Sequence[str]) -> str:
    """A table: for each kind a row, and one for all."""
    kinds = list(dict.fromkeys(turn.kind for turn in turns))
    rows = {kind: [turn for turn in turns if turn.kind == kind] for kind in kinds}
    if len(kinds) > 1:
        rows[f"all but {RANDOM}"] = [turn for turn in turns if turn.kind != RANDOM]
    header = ["prompts", "plain tokens/s"]
    for way in ways:
        header += [f"{way} tokens/s", "over plain", "least", "tokens a step", "accepted"]
    return table(
        [*header, "equal texts"],
        [
            [kind, f"{_rate(found, PLAIN):.0f}", *_all_cells(found, ways), _equal(found, ways)]
            for kind, found in rows.items()
        ],
    )


def _all_cells(turns: Sequence[Turn], ways: Sequence[str]) -> list[str]:
    return [cell for way in ways for cell in _cells(turns, way)]


def _cells(turns: Sequence[Turn], way: str) -> list[str]:
    steps, drafted = _sum(turns, way, "steps"), _sum(turns, way, "drafted")
    accepted, rate = _sum(turns, way, "accepted"), _rate(turns, way)
    speeds = [_rate([turn], way) / _rate([turn], PLAIN) for turn in turns]
    return [
        f"{rate:.0f}",
        f"{rate / _rate(turns, PLAIN):.2f}x",
        f"{min(speeds):.2f}x",
        f"{1 + accepted / steps:.2f}",
        f"{accepted / drafted:.0%}" if drafted else "-",
    ]


def _equal(turns: Sequence[Turn], ways: Sequence[str]) -> str:
    texts = sum(len(turn.answers[PLAIN]["texts"]) for turn in turns) * len(ways)
    return f"{sum(turn.same(way) for turn in turns for way in ways)} of {texts}"


def _sum(turns: Sequence[Turn], way: str, field: str) -> float:
    return sum(float(turn.answers[way][field]) for turn in turns)


def _rate(turns: Sequence[Turn], way: str) -> float:
    """Tokens a second of whole answers."""
    return _sum(turns, way, "tokens") / _sum(turns, way, "seconds")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="sample", help="as for export, or random-1.1b")
    parser.add_argument("--bundle", type=Path, help="an exported bundle instead")
    parser.add_argument("--backend", default="auto", help="as for LLM")
    parser.add_argument("--draft", type=Path, help="a draft instead of the bundle's")
    parser.add_argument("--work", type=Path, help="folder to keep the exports in")
    parser.add_argument("--prompts", choices=["own", "unseen"], default="own")
    parser.add_argument("--kinds", nargs="+", help="only these kinds")
    parser.add_argument("--each", type=int, help="prompts of a kind at most")
    parser.add_argument("--rounds", type=int, default=1, help="times that all are answered")
    parser.add_argument("--generate", type=int, default=128, help="tokens of an answer at most")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--batch", type=int, default=1, help="prompts at once")
    parser.add_argument("--fresh", type=int, default=0, help="groups that a process answers")
    parser.add_argument("--cache", choices=["kept", "none"], default="kept")
    parser.add_argument("--quiet", type=float, default=0.05, help="share that others may take")
    parser.add_argument(
        "--ways", nargs="+", default=["ngram", "auto"], help="of speculation: ngram, auto, ..."
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    turns: list[Turn] = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) if arguments.work is None else arguments.work
        bundle = arguments.bundle
        if bundle is None:
            bundle = Exports(arguments.model, work).default_bundle()
        asked = fresh_turns if arguments.fresh > 0 else warm_turns
        for turn in asked(arguments, bundle):
            turns.append(turn)
            rates = [f"{way} {_rate([turn], way):.0f}" for way in (PLAIN, *arguments.ways)]
            note = f", others took {turn.disturbed:.0%}" if turn.disturbed > 0.05 else ""
            print(f"{turn.kind}: {', '.join(rates)} tokens/s{note}", file=sys.stderr)
    noisy = sum(turn.disturbed > arguments.quiet for turn in turns)
    print(f"\n{machine()}; {len(turns)} turns, of which others disturbed {noisy}\n")
    print(report(turns, arguments.ways))


if __name__ == "__main__":
    main()
