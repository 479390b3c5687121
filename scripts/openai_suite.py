"""Runs the tests of openai-python's own repository against `nanoaccel serve`.

python scripts/openai_suite.py                     the endpoints that are here
python scripts/openai_suite.py --only chat models  some of them

The tests come with the source distribution of the installed openai package, which pip fetches, and
run as they are. The server runs letter bundles with the names that the tests use. Tests that ask
for what is not here must fail: `NOT_HERE` has the reasons, and one that passes is reported too.

Exit codes: 0 as expected, 1 otherwise, 3 when pip cannot fetch the tests.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
NO_TESTS = 3
FILES = {
    "chat": "tests/api_resources/chat/test_completions.py",
    "completions": "tests/api_resources/test_completions.py",
    "embeddings": "tests/api_resources/test_embeddings.py",
    "responses": "tests/api_resources/test_responses.py",
    "input tokens": "tests/api_resources/responses/test_input_tokens.py",
    "models": "tests/api_resources/test_models.py",
}
MODELS = ("gpt-6-astra", "gpt-3.5-turbo-instruct", "text-embedding-3-small")
# What a failing test of a file is named, and why it fails.
NOT_HERE = {
    ("chat", r"_create_with_all_params_"): "sends functions, logit_bias={'foo': 0}",
    ("chat", r"_(retrieve|update|list|delete)\b|_list_with_"): "chats are not stored",
    ("completions", r"_create_with_all_params_"): "sends suffix",
    ("embeddings", r"_create\[(strict|aiohttp)\]"): "the client asks for base64, and is too strict",
    ("models", r"_delete\b"): "models are not deleted over HTTP",
    ("responses", r"_(delete|cancel)\b|_retrieve_"): "responses are not stored",
    ("responses", r"_compact"): "inputs are not compacted",
    ("responses", r"_create_with_all_params_"): "sends background, conversation, prompt",
    ("responses", r"_create_overload_"): "sends no input",
    ("input tokens", r"_count\b"): "sends no input",
    ("input tokens", r"_count_with_all_params\b"): "sends conversation",
}
# Fails before it sends anything, so it passes with any server.
_SENDS_NOTHING = "_path_params_"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test and how it ended.

    Args:
        name: Its class, name and parameters.
        failure: Its error in one line; empty when it passed.
        reason: Why it must fail; empty when it must pass.
    """

    name: str
    failure: str
    reason: str

    @property
    def is_expected(self) -> bool:
        return bool(self.failure) == bool(self.reason)


def main() -> int:
    """Run and tell; gives the exit code."""
    parser = argparse.ArgumentParser(description="Run openai-python's tests against the server.")
    parser.add_argument("--only", nargs="+", choices=FILES, default=list(FILES), help="files")
    names: list[str] = parser.parse_args().only
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]
    from support.sdists import fetch_sdist

    with tempfile.TemporaryDirectory() as folder:
        try:
            tests = fetch_sdist("openai", Path(folder))
        except subprocess.CalledProcessError as error:
            print(f"pip cannot fetch the tests of openai:\n{error.stderr}", file=sys.stderr)
            return NO_TESTS
        with serving(Path(folder)) as url:
            outcomes = run(names, tests, url)
    expected = Counter(one.reason for one in outcomes if one.is_expected)
    print(f"{expected.pop('', 0)} tests passed")
    for reason, count in expected.items():
        print(f"{count} failed as expected: {reason}")
    wrong = [one for one in outcomes if not one.is_expected]
    for one in wrong:
        print(f"{one.name}: {one.failure or f'passed, but {one.reason}'}")
    return int(bool(wrong) or not outcomes)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """``nanoaccel serve`` over letter bundles with the tests' names; gives its address."""
    from support.fake_llms import write_bundle
    from support.replicas import LETTERS_BACKEND, write_plugin

    paths = (write_plugin(folder / "plugin"), ROOT / "tests", ROOT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    bundles = [str(write_bundle(folder / name)) for name in MODELS]
    command = [sys.executable, "-m", "nanoaccel", "serve", *bundles, "--port", "0"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--backend", LETTERS_BACKEND],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, (folder / "log").read_text()
        yield line.split()[-1]
    finally:
        server.terminate()
        server.communicate()


def run(names: list[str], tests: Path, url: str) -> list[Outcome]:
    """Run the tests of some files against the server."""
    report = tests / "report.xml"
    files = {FILES[name].removesuffix(".py").replace("/", "."): name for name in names}
    command = ["-m", "pytest", "-o", "addopts=", "-q", "-p", "no:cacheprovider"]
    command += [FILES[name] for name in names]
    # Nothing of this tree runs in them, also where coverage is measured.
    left_out = ("PYTHONPATH", "COVERAGE_PROCESS")
    environment = {key: text for key, text in os.environ.items() if not key.startswith(left_out)}
    done = subprocess.run(
        [sys.executable, *command, f"--junitxml={report}"],
        cwd=tests,
        env={**environment, "TEST_API_BASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.is_file():
        raise SystemExit(f"pytest failed\n{done.stdout}\n{done.stderr}")
    outcomes = []
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        found = case.find("failure")
        found = case.find("error") if found is None else found
        failure = "" if found is None else found.get("message", "an error").splitlines()[0]
        group = case.get("classname", "")  # the file as a module, and a class
        test = f"{group}.{case.get('name')}"
        outcomes.append(Outcome(test, failure, _reason(files[group.rpartition(".")[0]], test)))
    return outcomes


def _reason(file: str, test: str) -> str:
    """Why a test must fail; empty when it must pass."""
    if _SENDS_NOTHING in test:
        return ""
    found = [why for (name, one), why in NOT_HERE.items() if name == file and re.search(one, test)]
    return found[0] if found else ""


if __name__ == "__main__":
    sys.exit(main())
