"""``nanoaccel batch`` as a process that is killed, again and again."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.batch_files import read_lines, request_of, write_lines
from support.disk_tiers import wait_until
from support.replicas import LETTERS_BACKEND

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def command(*arguments: object) -> list[str]:
    options = ["--backend", LETTERS_BACKEND, "--max-running", "4"]
    return [sys.executable, "-m", "nanoaccel", "batch", *map(str, arguments), *options]


def test_killed_batch_goes_on(tmp_path: Path, bundle: Path, environment: dict[str, str]) -> None:
    lines = [request_of(f"r{n}") for n in range(150)]
    asked = write_lines(tmp_path / "in.jsonl", [*lines[:70], b"{", *lines[70:]])
    answers = tmp_path / "out.jsonl"
    pause = random.Random(0)
    done = 0
    for _ in range(3):
        process = subprocess.Popen(
            command(bundle, asked, answers), env=environment, stderr=subprocess.DEVNULL
        )
        before = done

        def has_grown(process: subprocess.Popen[bytes] = process, before: int = before) -> bool:
            assert process.poll() is None, "it ended before it was killed"
            return answers.exists() and answers.read_bytes().count(b"\n") > before

        wait_until(has_grown, "answers")
        time.sleep(0.1 * pause.random())
        process.kill()
        process.wait()
        done = answers.read_bytes().count(b"\n")
    with answers.open("ab") as torn:
        torn.write(b'{"id": "batch_req_7", "custom_id": "r6", "resp')
    last = subprocess.run(
        command(bundle, asked, answers), env=environment, capture_output=True, check=False
    )
    assert last.returncode == 3, last.stderr
    found = read_lines(answers)
    assert sorted(str(one["custom_id"]) for one in found) == sorted(
        ["None", *(line["custom_id"] for line in lines)]
    )
    assert last.stderr.splitlines()[-1].endswith(b"1 of them with an error")


def test_two_at_once_are_refused(tmp_path: Path, bundle: Path, environment: dict[str, str]) -> None:
    asked = write_lines(tmp_path / "in.jsonl", [request_of(f"r{n}") for n in range(400)])
    answers = tmp_path / "out.jsonl"
    first = subprocess.Popen(command(bundle, asked, answers), env=environment)
    try:
        wait_until(lambda: answers.exists() and answers.stat().st_size > 0, "answers")
        second = subprocess.run(
            command(bundle, asked, answers), env=environment, capture_output=True, check=False
        )
        assert second.returncode == 2
        assert b"another process writes to" in second.stderr
    finally:
        first.kill()
        first.wait()
