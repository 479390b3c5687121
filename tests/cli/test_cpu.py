from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.machines import (
    Cores,
    Linux,
    arm_board,
    desktop,
    hybrid_laptop,
    mac_m3,
    two_sockets,
)

from nanoaccel.cli.main import main
from nanoaccel.runtime.cpu import huge_pages
from nanoaccel.runtime.cpu import machine as machine_module
from nanoaccel.runtime.cpu.linux import read_linux
from nanoaccel.runtime.cpu.macos import read_macos
from nanoaccel.runtime.cpu.topology import Machine

Stand = Callable[[Linux | Machine], None]


@pytest.fixture
def stand_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stand:
    """Make the command believe that it runs on another machine."""
    monkeypatch.delenv("NANOACCEL_THREADS", raising=False)

    def stand(description: Linux | Machine) -> None:
        if isinstance(description, Linux):
            description = read_linux(description.write(tmp_path))
        found = description
        monkeypatch.setattr(machine_module, "read_machine", lambda: found)

    return stand


def test_cpu_draws_this_machine(run_cli: Any) -> None:
    ended = run_cli("cpu")
    assert ended.code == 0
    titles = [line for line in ended.out.splitlines() if line and line[0].isalpha()]
    assert [title for title in titles if title[0].isupper()][:2] == ["Machine", "Allowed"]
    assert "NUMA node 0" in ended.out
    assert "Plan for decode\n" in ended.out


def test_cpu_draws_kinds_caches_and_what_is_used(run_cli: Any, stand_on: Stand) -> None:
    stand_on(hybrid_laptop(name="A Laptop", allowed=[*range(16), 20, 21]))
    out = run_cli("cpu").out
    assert "cpu           A Laptop\n" in out
    assert "cores         6 performance, 8 efficiency, 2 low-power; 22 CPUs\n" in out
    assert "frequency     up to 4.7 GHz\n" in out
    assert "1 x 32.00 MiB, level 3 unified, 20 CPUs each\n" in out
    assert "P0 ■□  P1 ■□" in out
    assert "[E6 □ E7 □ E8 □ E9 □]  [E10 · E11 · E12 · E13 ·]" in out
    assert "[L14 □ L15 □]" in out
    assert "E efficiency, L low-power" in out
    assert "CPUs          0-15,20-21 (18 of 22)\n" in out
    assert "4 efficiency cores and 2 low-power cores left out: at every barrier" in out


def test_cpu_tells_only_what_other_plans_do_differently(run_cli: Any, stand_on: Stand) -> None:
    stand_on(two_sockets())
    out = run_cli("cpu").out
    assert "NUMA node 0, socket 0, 64.00 GiB" in out
    assert "NUMA node 1, socket 1, 64.00 GiB" in out
    assert "P28 □□" in out
    assert "Plan for prefill\n  all  as for decode\n" in out
    draft = out.partition("Plan for draft\n")[2].partition("\n\n")[0]
    assert draft.splitlines()[0].split()[:3] == ["threads", "8", "a"]
    assert draft.splitlines()[-1].split() == ["the", "rest", "as", "for", "decode"]


def test_cpu_tells_what_each_engine_would_run_on(run_cli: Any, stand_on: Stand) -> None:
    stand_on(two_sockets())
    lines = run_cli("cpu").out.partition("Engines (--replicas auto)\n")[2].splitlines()
    assert [line.split(maxsplit=3) for line in lines] == [
        ["1", "of", "2", "node 0, 28 threads on CPUs 0-27"],
        ["2", "of", "2", "node 1, 28 threads on CPUs 28-55"],
    ]
    engines = json.loads(run_cli("cpu", "--json").out)["engines"]
    assert [engine["node"] for engine in engines] == [0, 1]
    assert "--replicas" not in run_cli("cpu", "--threads", "4").out


@pytest.mark.parametrize(("size", "told"), [(2 << 20, "2.00 MiB"), (0, "none")])
def test_cpu_tells_whether_there_are_large_pages(
    run_cli: Any, monkeypatch: pytest.MonkeyPatch, size: int, told: str
) -> None:
    monkeypatch.setattr(huge_pages, "large_page_size", lambda: size)
    assert f"large pages   {told}\n" in run_cli("cpu").out
    assert json.loads(run_cli("cpu", "--json").out)["large_page_bytes"] == size


def test_cpu_tells_limits_and_what_is_odd(run_cli: Any, stand_on: Stand) -> None:
    group = "sys/fs/cgroup/box"
    files = (
        ("proc/self/cgroup", "0::/box\n"),
        (f"{group}/cpu.max", "150000 100000\n"),
        (f"{group}/memory.max", "2000000000\n"),
        (f"{group}/cpuset.cpus.effective", "0-3\n"),
    )
    stand_on(desktop(hides=True, files=files, allowed=range(4)))
    out = run_cli("cpu").out
    assert "cpuset        0-3\n" in out
    assert "quota         1.5 CPUs\n" in out
    assert "memory limit  2.0 GB\n" in out
    assert "threads             1          the quota is 1.5 CPUs" in out
    assert "\nNotes\n  this machine hides which CPUs share a core" in out


@pytest.mark.parametrize("name", ["board", "mac", "one core"])
def test_cpu_draws_machines_without_a_third_level(
    name: str, run_cli: Any, stand_on: Stand, tmp_path: Path
) -> None:
    machines = {
        "board": lambda: read_linux(arm_board().write(tmp_path / "board")),
        "mac": lambda: read_macos(mac_m3()),
        "one core": lambda: read_linux(Linux(cores=[Cores(count=1, l3=None)]).write(tmp_path)),
    }
    stand_on(machines[name]())
    ended = run_cli("cpu")
    assert ended.code == 0
    assert "level 2 cache," not in ended.out
    marks = {"board": "P4 ■  P5 ■", "mac": "[P0 ■ P1 ■ P2 ■", "one core": "P0 ■"}
    assert marks[name] in ended.out


def test_cpu_draws_without_unicode(stand_on: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_on(desktop())
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii", write_through=True) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["cpu"]) == 0
        assert b"| P0 #o  P1 #o" in raw.getvalue()


def test_cpu_json_holds_all(run_cli: Any, stand_on: Stand) -> None:
    stand_on(two_sockets())
    content = json.loads(run_cli("cpu", "--json").out)
    assert content.keys() - {"large_page_bytes"} == {
        *("topology", "allowance", "notes", "plans", "engines")
    }
    assert len(content["topology"]["cores"]) == 56
    assert content["topology"]["cores"][0]["cpus"] == [0, 56]
    assert content["allowance"]["whole_cpus"] == 112
    assert set(content["plans"]) == {"decode", "prefill", "draft"}
    decode = content["plans"]["decode"]
    assert (decode["threads"], decode["node"], decode["bind_memory"]) == (28, 0, True)
    assert decode["openvino"]["INFERENCE_NUM_THREADS"] == 28
    assert decode["onnxruntime"]["intra_op_num_threads"] == 28
    assert {"choice", "value", "why"} == set(decode["reasons"][0])


def test_cpu_takes_overrides(
    run_cli: Any, stand_on: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_on(desktop())
    assert (
        "3          the option threads says so; chosen were 8" in run_cli("cpu", "--threads", 3).out
    )
    monkeypatch.setenv("NANOACCEL_THREADS", "lots")
    assert "\nNotes\n  NANOACCEL_THREADS='lots' is ignored" in run_cli("cpu").out


@pytest.mark.parametrize("threads", [0, 17])
def test_cpu_refuses_threads_that_cannot_be(threads: int, run_cli: Any, stand_on: Stand) -> None:
    stand_on(desktop())
    ended = run_cli("cpu", "--threads", threads)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: threads={threads} is ")


def test_cpu_shows_odd_names_escaped(run_cli: Any, stand_on: Stand) -> None:
    stand_on(desktop(name="A \x1b[31mCPU [bold]"))
    out = run_cli("cpu").out
    assert "\x1b" not in out
    assert "A \\x1b[31mCPU [bold]" in out
