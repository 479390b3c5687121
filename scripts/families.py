"""Judges a tiny model of every causal model of transformers; writes docs/reference/families.md.

python scripts/families.py results.jsonl            judge what the file lacks, then write the page
python scripts/families.py results.jsonl --only gpt2 "phi3 (longrope)"    judge these again

Each is exported and run through the engine, as tests/sweep does, for each runtime. The file has a
line for each, and may be deleted. Ctrl-C writes the page with the families that were judged.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import tempfile
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_PAGE = _ROOT / "docs" / "reference" / "families.md"
_NAMES = {"openvino": "OpenVINO", "onnx": "ONNX Runtime"}


@dataclass(frozen=True, slots=True)
class Result:
    """How a family ended with a runtime."""

    family: str
    runtime: str
    word: str
    text: str


def main() -> int:
    """Judge and write; gives the exit code: 1 when a family is wrong or ends in a traceback."""
    parser = argparse.ArgumentParser(description="Judge every family, and write its page.")
    parser.add_argument("results", type=Path, help="file of results; made when missing")
    parser.add_argument("--only", nargs="*", default=[], help="families to judge again")
    arguments = parser.parse_args()
    sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]
    from support.tiny_configs import families

    names = [family.name for family in families()]
    known = {key: one for key, one in _read(arguments.results).items() if key[0] in names}
    for name in arguments.only:
        for runtime in _NAMES:
            known.pop((name, runtime), None)
    missing = [(name, runtime) for name in names for runtime in _NAMES]
    try:
        _judge_all([key for key in missing if key not in known], arguments.results)
    except KeyboardInterrupt:
        print("stopped: the page tells of the families that were judged", file=sys.stderr)
    known |= _read(arguments.results)
    judged = [name for name in names if all((name, runtime) in known for runtime in _NAMES)]
    found = [known[name, runtime] for name in judged for runtime in _NAMES]
    _PAGE.write_text(render(found, len(names)), encoding="utf-8")
    return int(any(one.word not in ("exact", "refused") for one in found))


def _read(path: Path) -> dict[tuple[str, str], Result]:
    """Results by family and runtime; a later line counts more."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    results = [Result(**json.loads(line)) for line in lines]
    return {(one.family, one.runtime): one for one in results}


def _judge_all(keys: list[tuple[str, str]], path: Path) -> None:
    """Judge as many at once as there are cores."""
    os.environ["OMP_NUM_THREADS"] = "1"  # of each process
    waiting = deque(keys)
    lanes = os.cpu_count() or 1
    with ThreadPoolExecutor(lanes) as threads:
        try:
            for lane in [threads.submit(_judge_some, waiting, path) for _ in range(lanes)]:
                lane.result()
        finally:
            waiting.clear()


def _judge_some(waiting: deque[tuple[str, str]], path: Path) -> None:
    """Judge in a process of its own, so that one that dies ends nothing but its family."""
    pool = None
    with suppress(IndexError):
        while True:
            name, runtime = waiting.popleft()
            if pool is None:
                pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
            try:
                result = pool.submit(judge_one, name, runtime).result()
            except BrokenProcessPool:
                result, pool = Result(name, runtime, "ERROR", "the process died"), None
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result)) + "\n")
            print(f"{name}, {_NAMES[runtime]}: {result.word} {result.text}")
    if pool is not None:
        pool.shutdown()


def judge_one(name: str, runtime: str) -> Result:
    """Judge one family with one runtime."""
    sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]
    from support.family_judge import judge
    from support.tiny_configs import families

    (family,) = [one for one in families() if one.name == name]
    with tempfile.TemporaryDirectory() as folder:
        verdict = judge(family, Path(folder), runtime)
    return Result(name, runtime, verdict.word, verdict.text)


def render(results: list[Result], families: int) -> str:
    """The page.

    Args:
        results: How families ended with each runtime.
        families: Types and variants that there are, judged or not.
    """
    by_name: dict[str, dict[str, Result]] = {}
    for one in results:
        by_name.setdefault(one.family, {})[one.runtime] = one
    runs = {n: r for n, r in by_name.items() if any(o.word != "refused" for o in r.values())}
    never = {n: r for n, r in by_name.items() if n not in runs}
    return "\n".join([*_head(by_name, families), *_running(runs), *_refused(never), ""])


def _head(by_name: dict[str, dict[str, Result]], families: int) -> list[str]:
    kinds = [name for name in by_name if "(" not in name]
    lines = [
        "# Families of models",
        "",
        "<!-- Written by scripts/families.py; do not edit. -->",
        "",
        f"transformers {version('transformers')} has {families} types and variants of models "
        f"(`model_type` in config.json) that continue a text, of which {len(by_name)} were judged. "
        "A tiny random model of each was exported with f32 weights and run through "
        "the engine: prompts shorter and longer than a step, a sliding window and a border "
        "of rotary factors, each alone and all in one batch. *Exact* means that the "
        "log-probabilities of the text are within 1e-3 nats of what transformers gives in f32, "
        "with attention as the model's own code says. *Refused* means one line that says why, and "
        "no bundle.",
        "",
        f"| | {' | '.join(_NAMES.values())} |",
        "| --- |" + " --- |" * len(_NAMES),
    ]
    words = sorted({one.word for found in by_name.values() for one in found.values()})
    for what, names in (("types", kinds), ("types and variants", list(by_name))):
        for word in words:
            counts = [sum(by_name[n][r].word == word for n in names) for r in _NAMES]
            lines.append(f"| {what}: {word} | {' | '.join(map(str, counts))} |")
    return [
        *lines,
        "",
        f"With transformers {version('transformers')}, openvino {version('openvino')}, "
        f"onnxruntime {version('onnxruntime')}. CI judges a part on each change and all of them "
        "every night; `python scripts/families.py results.jsonl` writes this page.",
    ]


def _running(runs: dict[str, dict[str, Result]]) -> list[str]:
    lines = ["", "## What runs", "", f"| family | {' | '.join(_NAMES.values())} |"]
    lines.append("| --- |" + " --- |" * len(_NAMES))
    for name, found in runs.items():
        cells = [_cell(found[runtime]) for runtime in _NAMES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cell(one: Result) -> str:
    return "exact" if one.word == "exact" else f"{one.word}: {_reason(one)}"


def _refused(never: dict[str, dict[str, Result]]) -> list[str]:
    """Families by the reason for which OpenVINO's export refuses them."""
    reasons: dict[str, list[str]] = {}
    for name, found in never.items():
        reasons.setdefault(_reason(found["openvino"]), []).append(name)
    lines = ["", "## What is refused", "", "| reason | families |", "| --- | --- |"]
    for reason, names in sorted(reasons.items(), key=lambda pair: -len(pair[1])):
        lines.append(f"| {reason} | {', '.join(names)} |")
    return lines


def _reason(one: Result) -> str:
    """Why, without the family's own name, numbers that differ from run to run, and remedies."""
    text = one.text.partition(". ")[0]
    text = re.sub(r"(, only) .*|/\S+/", "", text)
    text = re.sub(r", behind \d+ tokens .*", "", text)
    kind = one.family.partition(" (")[0]
    text = text.replace(f"{kind!r}", "it")
    return text.replace("|", "\\|").removeprefix("it ").strip()


if __name__ == "__main__":
    sys.exit(main())
