"""What only a process of its own shows: streams, pipes and signals."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nanoaccel.bundle import MANIFEST

LONG = ("--max-tokens", 3900, "--ignore-eos")


def test_process_prints_help_without_arguments(processes: Any) -> None:
    ended = processes.run()
    assert (ended.code, ended.err) == (0, "")
    assert "quickstart" in ended.out


def test_process_into_a_closed_pipe_is_quiet(processes: Any) -> None:
    with subprocess.Popen(
        processes.command_line("--help"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=processes.environment,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_process_into_a_full_disk_fails_in_one_line(processes: Any) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            processes.command_line("doctor"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=processes.environment,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_process_with_a_closed_stream_works(closed: str, processes: Any) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *processes.command_line("--version")],
        capture_output=True,
        env=processes.environment,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_process_refuses_a_newer_bundle(tmp_path: Path, processes: Any) -> None:
    (tmp_path / MANIFEST).write_text('{"schema_version": 99}')
    ended = processes.run("generate", tmp_path, "hi")
    assert (ended.code, ended.out) == (1, "")
    assert "has schema version 99.0; this NanoAccel reads up to 3.x" in ended.err
    assert ended.err.count("\n") == 1


def test_process_refuses_input_that_is_no_utf8(processes: Any) -> None:
    ended = processes.run("generate", "bundle", stdin=b"ab\xff")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: standard input is not UTF-8")


def test_process_generates(tiny_bundle: Path, processes: Any) -> None:
    ended = processes.run("generate", tiny_bundle, "--json", "--max-tokens", 4, stdin=b"hi\n")
    content = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert content["usage"]["completion_tokens"] == len(content["token_ids"])
    streamed = processes.run("generate", tiny_bundle, "hi", "--stream", "--max-tokens", 4)
    assert streamed.out.rstrip("\n") == content["text"].rstrip("\n")
    assert "tokens/s" in streamed.err


def test_process_refuses_a_damaged_graph(tiny_bundle: Path, tmp_path: Path, processes: Any) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_bundle, folder)
    graph = folder / "openvino" / "openvino_model.xml"
    graph.write_bytes(bytes(graph.stat().st_size))
    ended = processes.run("generate", folder, "hi")
    assert (ended.code, ended.out) == (1, "")
    last = ended.err.splitlines()[-1]  # OpenVINO's own readers may complain before it
    assert last.startswith("error: ")
    assert "openvino_model.xml" in last
    assert "Traceback" not in ended.err


def test_process_chats_over_a_pipe(tiny_bundle: Path, processes: Any) -> None:
    ended = processes.run("chat", tiny_bundle, "--max-tokens", 4, stdin=b"hi\n/stats\n/exit\n")
    assert ended.code == 0
    assert "of 4096 tokens" in ended.err
    assert "> " not in ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("reader_leaves", [True, False])
def test_process_stops_in_the_middle_of_a_text(
    reader_leaves: bool, tiny_bundle: Path, processes: Any
) -> None:
    with subprocess.Popen(
        processes.command_line("generate", tiny_bundle, "hi", "--stream", *LONG),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=processes.environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(8)
        if reader_leaves:
            process.stdout.close()
        else:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
        assert process.stderr.read() == b""
        assert process.wait(60) == (0 if reader_leaves else 130)
