from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support import machines

from nanoaccel.cli.installation import environment, requirements
from nanoaccel.cli.installation.environment import look_around, read_cpu
from nanoaccel.cli.installation.requirements import find_problems
from nanoaccel.exporters.quantize import requirements as export_requirements
from nanoaccel.exporters.targets.table import target_of
from nanoaccel.runtime.cpu.machine import read_machine
from nanoaccel.runtime.cpu.threads import ENVIRONMENT, plan_here, plan_threads
from nanoaccel.runtime.cpu.workload import Workload

COMPLETE = dict.fromkeys(
    (
        *requirements.RUN,
        *requirements.RUNTIMES,
        *requirements.SERVER,
        *requirements.EXPORT,
        *requirements.EXPORT_ONNX,
    ),
    "1.0",
)  # versions are not looked at


@pytest.fixture(autouse=True)
def no_threads_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and /sys")
def test_read_cpu_tells_what_this_process_may_use(tmp_path: Path) -> None:
    quota = (("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", "250000 100000\n"))
    root = machines.desktop(allowed=range(8), files=quota).write(tmp_path)
    cpu = read_cpu(root)
    machine = read_machine(root)
    plan = plan_threads(machine.topology, machine.allowance, Workload())
    assert (cpu.usable, cpu.quota, cpu.threads) == (8, 2.5, plan.threads)
    assert cpu.cpus > 8
    assert cpu.threads <= 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and /sys")
def test_read_cpu_names_the_processor_and_its_instructions(tmp_path: Path) -> None:
    cpu = read_cpu(machines.desktop(name="Some CPU @ 2 GHz").write(tmp_path / "x86"))
    assert cpu.model == "Some CPU @ 2 GHz"
    assert "avx2" in cpu.isa
    assert {"asimddp", "i8mm"} <= set(read_cpu(machines.arm_board().write(tmp_path / "arm")).isa)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and /sys")
def test_read_cpu_without_cpuinfo(tmp_path: Path) -> None:
    cpu = read_cpu(tmp_path)
    assert cpu.model
    assert 1 <= cpu.threads <= cpu.usable <= cpu.cpus
    assert (cpu.quota, cpu.isa) == (None, ())


def test_look_around_works_where_little_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> int:
        raise ValueError

    monkeypatch.setattr(os, "sysconf", unknown, raising=False)
    found = look_around()
    assert found.memory.total is None
    assert found.packages["numpy"] is not None


def test_look_around_imports_no_package() -> None:
    before = set(sys.modules)
    look_around()
    assert not {"torch", "openvino", "transformers"} & (set(sys.modules) - before)


def test_problems_know_what_the_export_needs() -> None:
    needed = {name.replace("_", "-").replace(".", "-") for name in export_requirements.NEEDED}
    assert set(requirements.EXPORT) == needed
    for_onnx = {name.replace("_genai", "-genai") for name in target_of("onnx").packages}
    assert set(requirements.EXPORT_ONNX) == for_onnx
    assert set(COMPLETE) <= set(environment.PACKAGES)


def test_problems_none_when_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "requires", lambda _: None)
    assert find_problems(COMPLETE) == []


def test_problems_name_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    assert requirements.cache_problem(tmp_path / "new") is None
    (tmp_path / "file").write_text("")
    problem = requirements.cache_problem(tmp_path / "file")
    assert problem is not None
    assert str(tmp_path / "file") in problem.what


@pytest.mark.parametrize("runtime", requirements.RUNTIMES)
def test_problems_none_for_generation_with_either_runtime(
    runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "requires", lambda _: None)
    packages = dict.fromkeys((*requirements.RUN, *requirements.SERVER, runtime), "1.0")
    (problem,) = find_problems(packages)
    assert problem.blocks == "export"


@pytest.mark.parametrize(("python", "onnx"), [((3, 10), False), ((3, 11), True)])
def test_problems_name_what_blocks_generation(
    python: tuple[int, int], onnx: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "requires", lambda _: None)
    packages = dict.fromkeys(requirements.RUN, "1.0")
    problem = find_problems(packages, python)[0]
    assert problem.blocks == "generate"
    assert problem.what.startswith("neither openvino nor onnxruntime is installed")
    assert "nanoaccel[openvino]" in problem.remedy
    assert ("nanoaccel[onnx]" in problem.remedy) is onnx


@pytest.mark.parametrize(("python", "told"), [((3, 10), False), ((3, 11), True)])
def test_problems_name_what_onnx_needs_where_it_can_be_had(
    python: tuple[int, int], told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "requires", lambda _: None)
    problems = find_problems({**COMPLETE, "onnxruntime": None, "onnxruntime-genai": None}, python)
    assert [problem.blocks for problem in problems] == ([None] if told else [])


def test_problems_name_what_blocks_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "requires", lambda _: None)
    (problem,) = find_problems({**COMPLETE, "torch": None, "nncf": None})
    assert problem.blocks == "export"
    assert problem.what.startswith("torch, nncf not installed")


def test_problems_name_what_the_server_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "requires", lambda _: None)
    (problem,) = find_problems({**COMPLETE, "uvicorn": None})
    assert problem.blocks is None
    assert problem.what == "uvicorn not installed: bundles cannot be served here"


def test_problems_name_versions_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("packaging")
    needs = {
        "nncf": [
            "transformers<5.1,>=4.51",
            "torch>=2.1",
            'absent>=1; extra == "tests"',
            "transformers<5.1,>=4.51; python_version >= '3.8'",
        ],
        "nanoaccel": ['openvino>=2026.1; extra == "openvino"', 'ruff>=99; extra == "dev"'],
    }
    found = {"transformers": "5.2.0", "torch": "2.6.0", "openvino": "2025.0", "ruff": "0.1"}
    monkeypatch.setattr(requirements, "requires", needs.get)
    monkeypatch.setattr(requirements, "installed_version", found.get)
    problems = find_problems({**COMPLETE, "nanoaccel": "0.1"})
    assert [problem.what for problem in problems] == [
        "nncf needs transformers<5.1,>=4.51, but 5.2.0 is installed",
        "nanoaccel needs openvino>=2026.1, but 2025.0 is installed",
    ]
    assert problems[0].remedy == 'pip install "transformers<5.1,>=4.51"'
    assert {problem.blocks for problem in problems} == {None}


def test_problems_without_packaging_skip_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    assert find_problems(COMPLETE) == []


def test_doctor_shows_versions_machine_and_problems(run_cli: Any) -> None:
    ended = run_cli("doctor")
    assert [line for line in ended.out.splitlines() if line and line[0] != " "] == [
        "Versions",
        "Machine",
        "Problems",
    ]
    assert f"{plan_here(Workload()).threads} to decode with" in ended.out
    assert f"{importlib.import_module('numpy').__version__}\n" in ended.out


def test_doctor_json_says_what_can_be_done(run_cli: Any) -> None:
    ended = run_cli("doctor", "--json")
    content = json.loads(ended.out)
    assert content["can_generate"] is (ended.code == 0)
    assert set(content["packages"]) >= {"openvino", "torch", "transformers", "nncf"}


@pytest.mark.parametrize(
    ("absent", "works"),
    [({"openvino"}, True), ({"onnxruntime"}, True), ({"openvino", "onnxruntime"}, False)],
)
def test_doctor_fails_only_without_any_runtime(
    absent: set[str], works: bool, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = environment.installed_version
    monkeypatch.setattr(
        environment, "installed_version", lambda name: None if name in absent else real(name)
    )
    ended = run_cli("doctor")
    assert (ended.code == 0) is works
    assert ("nothing can be generated" in ended.out) is not works
    assert json.loads(run_cli("doctor", "--json").out)["can_generate"] is works
