"""Which rows of NanoAccel's got worse from one file of results to another, beyond the noise.

    python -m benchmarks.peers.compare OLD.json NEW.json [--reference genai] [--margin 0.05]

Compared are ratios to a reference engine, which was measured in the same minutes: a faster machine
makes both faster. A row is worse when its median ratio fell by more than the margin, and a rank
test (Mann-Whitney, one-sided) says that this is no chance; the more rows, the surer each has to be
(Holm). Ends with 1 when something is worse, and with 2 when the files cannot be compared.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.harness.figures import table
from benchmarks.harness.results import Results, Row

OURS = "nanoaccel"
LEVEL, MARGIN = 0.05, 0.05
WORSE, BETTER, SAME, UNKNOWN = "worse", "better", "same", "too few rounds"


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an engine in a row.

    Args:
        row: Its name.
        engine: Its name.
        factor: New median ratio to the reference over the old one; below 1 is worse.
        chance: That so small a factor, or so large a one, comes of noise.
        verdict: "worse", "better", "same" or "too few rounds".
    """

    row: str
    engine: str
    factor: float
    chance: float
    verdict: str


@cache
def _orders(ours: int, theirs: int) -> tuple[int, ...]:
    """In how many orders of two groups each count of pairs has ours in front."""
    if ours == 0 or theirs == 0:
        return (1,)
    total = [0] * (ours * theirs + 1)
    for count, ways in enumerate(_orders(ours - 1, theirs)):  # the last one is ours
        total[count + theirs] += ways
    for count, ways in enumerate(_orders(ours, theirs - 1)):
        total[count] += ways
    return tuple(total)


def chance_of_less(new: Sequence[float], old: Sequence[float]) -> float:
    """Chance that figures of one kind would lie as low as ``new`` beside ``old``, or lower.

    The one-sided test of Mann and Whitney (1947), exact; a tie counts half.
    """
    above = sum((a > b) + 0.5 * (a == b) for a in new for b in old)
    orders = _orders(len(new), len(old))
    return sum(orders[: math.ceil(above) + 1]) / sum(orders)


def least_chance(new: int, old: int) -> float:
    """What the test gives when all of one group lie below all of the other."""
    return 1 / math.comb(new + old, new)


def steady(chances: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which of several findings hold, so that one of them is wrong with the level's chance.

    Holm (1979): the k-th smallest of n is held against level / (n - k + 1).
    """
    held = [False] * len(chances)
    order = sorted(range(len(chances)), key=chances.__getitem__)
    for rank, index in enumerate(order):
        if chances[index] > level / (len(chances) - rank):
            break
        held[index] = True
    return held


def compare(
    old: Mapping[str, Row], new: Mapping[str, Row], reference: str, margin: float = MARGIN
) -> list[Change]:
    """The changes of all engines of ours that both have.

    Args:
        old: Rows by name.
        new: Rows by name.
        reference: Engine that ratios are over; rows without it are left out.
        margin: Change that does not count, as a share.
    """
    pairs = []
    for name in [name for name in new if name in old]:
        before, after = old[name], new[name]
        shared = [n for n in after.figures if n in before.figures]
        if reference in shared:
            gains = [
                (name, n, before.gains(n, reference), after.gains(n, reference))
                for n in shared
                if n.startswith(OURS) and n != reference
            ]
            pairs += gains
    less = [chance_of_less(after, before) for _, _, before, after in pairs]
    more = [chance_of_less(before, after) for _, _, before, after in pairs]
    changes = []
    for (name, engine, before, after), low, high, is_low, is_high in zip(
        pairs, less, more, steady(less), steady(more), strict=True
    ):
        factor = statistics.median(after) / statistics.median(before)
        verdict = SAME
        if abs(math.log(factor)) > -math.log(1 - margin):
            if least_chance(len(after), len(before)) > LEVEL / len(pairs):
                verdict = UNKNOWN
            elif factor < 1 and is_low:
                verdict = WORSE
            elif factor > 1 and is_high:
                verdict = BETTER
        changes.append(Change(name, engine, factor, min(low, high), verdict))
    return changes


def show(changes: Sequence[Change]) -> str:
    """A table of all changes, the worst first."""
    lines = [
        [c.row, c.engine, f"{c.factor:.3f}x", f"{c.chance:.4f}", c.verdict]
        for c in sorted(changes, key=lambda c: c.factor)
    ]
    return table(["row", "engine", "new over old", "chance", "verdict"], lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", type=Path, help="file of benchmarks.peers.run --json")
    parser.add_argument("new", type=Path, help="file of benchmarks.peers.run --json")
    parser.add_argument("--reference", default="genai", help="engine that ratios are over")
    parser.add_argument("--margin", type=float, default=MARGIN, help="change that does not count")
    arguments = parser.parse_args(argv)
    if not 0 <= arguments.margin < 1:
        parser.error("--margin has to be from 0 to below 1")
    try:
        old, new = Results.load(arguments.old), Results.load(arguments.new)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    if old.model != new.model:
        print(f"not the same model: {dict(old.model)} and {dict(new.model)}", file=sys.stderr)
        return 2
    rows = [{row.name: row for row in results.rows} for results in (old, new)]
    changes = compare(rows[0], rows[1], arguments.reference, arguments.margin)
    if not changes:
        print(f"no row has both {OURS} and {arguments.reference} in both files", file=sys.stderr)
        return 2
    print(show(changes))
    return int(any(change.verdict == WORSE for change in changes))


if __name__ == "__main__":
    sys.exit(main())
