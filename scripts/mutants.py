"""Mutation testing of one package: python scripts/mutants.py kv --sample 6

mutmut changes one thing in the package at a time, and runs the tests that enter the changed
function; some test must fail. Mutants that no test can or need notice are listed, with the reason,
in tests/known_mutants.txt. The command fails when fewer than 85 % of the mutants are killed; those
that survive and are not in the list are printed first, to be read.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import get_mutant_name

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ROOT / "tests" / "known_mutants.txt"
FLOOR = 0.85

# What is mutated, and the tests that should notice.
PACKAGES = {
    "bundle": (
        "nanoaccel/bundle",
        [
            "tests/unit/test_attention_config.py",
            "tests/unit/test_bundle.py",
            "tests/unit/test_bundle_adapters.py",
            "tests/unit/test_context_length.py",
            "tests/unit/test_graph_files.py",
            "tests/cli/test_list.py",
            "tests/unit/test_draft_choice.py",
            "tests/unit/test_folded_scales.py",
            "tests/unit/test_head.py",
            "tests/unit/test_long_factors.py",
            "tests/unit/test_packed_graph.py",
            "tests/unit/test_publish.py",
            "tests/unit/runtime/scheduling/test_text_rotation.py",
        ],
    ),
    "kv": ("nanoaccel/runtime/kv", ["tests/unit/runtime/kv", "tests/unit/runtime/test_plugins.py"]),
    "sampling": (
        "nanoaccel/runtime/sampling",
        ["tests/unit/runtime/sampling", "tests/unit/runtime/test_plugins.py"],
    ),
    "scheduling": (
        "nanoaccel/runtime/scheduling",
        [
            "tests/unit/runtime/scheduling",
            "tests/unit/runtime/engine/test_embeddings.py",
            "tests/unit/runtime/engine/test_engine.py",
            "tests/unit/runtime/engine/test_engine_adapters.py",
            "tests/unit/runtime/engine/test_engine_failures.py",
            "tests/unit/runtime/engine/test_prompt_logprobs.py",
        ],
    ),
    "speculation": (
        "nanoaccel/runtime/speculation",
        ["tests/unit/runtime/speculation", "tests/unit/runtime/test_plugins.py"],
    ),
}

# They enter nearly every function and take seconds: a mutant is judged by the quick tests alone.
SLOW = [
    "tests/unit/runtime/kv/test_disk_tier_processes.py",
    "tests/unit/runtime/sampling/grammar/test_answers.py",
    "tests/unit/runtime/sampling/grammar/test_engines.py",
    "tests/unit/runtime/sampling/grammar/test_json_schema_suite.py",
    "tests/unit/runtime/scheduling/test_scheduler_simulation.py",
    "tests/unit/runtime/speculation/test_controller_simulation.py",
    "tests/unit/runtime/speculation/test_costly_drafters.py",
    "tests/unit/runtime/speculation/test_engine_speculation.py",
    "tests/unit/runtime/speculation/test_lossless.py",
]


def configuration(package: str) -> str:
    """mutmut's section of pyproject.toml for a package."""
    source, tests = PACKAGES[package]
    options = ["-m", "not export and not sample", "-p", "no:cacheprovider"]
    options += [f"--ignore={path}" for path in SLOW]
    return f"""
[tool.mutmut]
source_paths = ["nanoaccel"]
only_mutate = ["{source}/*"]
# The wording of logs and errors is for readers to judge, and no test should make an assert fail.
do_not_mutate_patterns = ['\\braise \\w+\\(', '\\b_?log\\.\\w+\\(', '^\\s*assert ']
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = {options}
timeout_constant = 20.0
timeout_multiplier = 5.0
track_dependencies = false
use_git_change_detection = false
"""


def make_folder(package: str) -> Path:
    """An empty folder for mutmut, which copies the sources into it."""
    folder = ROOT / "build" / "mutants" / package
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("nanoaccel", "tests"):
        (folder / name).symlink_to(ROOT / name)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(text + configuration(package), encoding="utf-8")
    return folder


def choose(sample: int | None, seed: int) -> list[str]:
    """The mutants to try, at most `sample` of each file.

    Where a function is changed, the others of its file keep theirs.
    """

    def draw(name: str) -> bytes:
        return hashlib.sha256(f"{seed} {name}".encode()).digest()

    chosen = []
    for path in sorted(walk_mutatable_files()):
        mutated = mutate_file_contents(str(path), path.read_text(encoding="utf-8"))
        names = [get_mutant_name(path, name) for name in mutated.mutant_names]
        chosen += sorted(names, key=draw)[:sample]
    return chosen


def results(names: list[str]) -> dict[str, str]:
    """What became of each mutant, in mutmut's words."""
    codes: dict[str, int | None] = {}
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        codes |= data.exit_code_by_key
    return {name: status_by_exit_code[codes[name]] for name in names}


def change(name: str) -> str:
    """A mutant in one line: where, what stood there, what stands there now."""
    lines = get_diff_for_mutant(name).splitlines()
    before = " ".join(line[1:].strip() for line in lines if line[:1] == "-" and line[:3] != "---")
    after = " ".join(line[1:].strip() for line in lines if line[:1] == "+" and line[:3] != "+++")
    module, _, function = name.rpartition("__mutmut_")[0].rpartition(".")
    function = function.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    return f"{module}.{function}: {before} -> {after}"


def known() -> set[str]:
    """The changes that are listed; lines with # are the reasons of those that follow."""
    lines = KNOWN.read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", choices=sorted(PACKAGES))
    parser.add_argument("--sample", type=int, help="mutants of each file at most; all without it")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()

    os.chdir(make_folder(options.package))
    names = choose(options.sample, options.seed)
    mutmut = Path(sys.executable).with_name("mutmut")
    command = [mutmut, "run", "--max-children", str(options.jobs), *names]
    with Path("mutmut.log").open("w", encoding="utf-8") as log:
        code = subprocess.run(command, stdout=log).returncode
    statuses = results(names)
    if code != 0 or "not checked" in statuses.values():
        print(f"mutmut stopped early; its words are in {Path('mutmut.log').resolve()}")
        return 1
    caught = {"killed", "timeout", "segfault"}
    survivors = {change(name): name for name, status in statuses.items() if status not in caught}
    listed = known()
    for line, name in sorted(survivors.items(), key=lambda item: (item[0] in listed, item[0])):
        print(f"{'known' if line in listed else 'NEW':6}{statuses[name]:10} {line}")
    rate = sum(status in caught for status in statuses.values()) / len(statuses)
    counts = ", ".join(f"{count} {status}" for status, count in Counter(statuses.values()).items())
    print(f"{options.package}: {rate:.1%} of {len(statuses)} mutants are killed ({counts})")
    return 0 if rate >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
