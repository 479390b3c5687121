from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.fake_llms import write_bundle
from support.machines import two_sockets

from nanoaccel.bundle import Bundle
from nanoaccel.runtime import open as opening
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.linux import read_linux
from nanoaccel.runtime.cpu.workload import ThreadPlan
from nanoaccel.runtime.engine.client import InProcessClient
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.open import engines_that_fit, open_client
from nanoaccel.runtime.replicas import client as replica_client

WEIGHTS = 1 << 20


@pytest.fixture
def heavy(folder: Path) -> Path:
    """A bundle whose weights take a megabyte."""
    with (folder / "openvino_model.bin").open("wb") as file:
        file.truncate(WEIGHTS)
    return folder


@pytest.fixture
def opened_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[ThreadPlan]]:
    """The plans that several engines are opened with, on a machine of two nodes."""
    plans: list[list[ThreadPlan]] = []

    def open_several(_: object, found: list[ThreadPlan], **__: object) -> None:
        plans.append(found)

    machine = read_linux(two_sockets().write(tmp_path / "machine"))
    monkeypatch.setattr(opening, "this_machine", lambda: machine)
    monkeypatch.setattr(replica_client, "ReplicaClient", open_several)
    monkeypatch.delenv("NANOACCEL_THREADS", raising=False)
    return plans


def open_auto(folder: Path, **changes: Any) -> object:
    config = EngineConfig(**changes)
    return open_client(folder, backend="auto", config=config, on_event=None, replicas="auto")


def test_auto_opens_an_engine_on_each_node(
    heavy: Path, opened_with: list[list[ThreadPlan]]
) -> None:
    open_auto(heavy)
    ((first, second),) = opened_with
    assert (first.node, second.node) == (0, 1)
    assert (first.threads, second.threads) == (28, 28)


def test_auto_opens_fewer_where_memory_is_short(
    heavy: Path,
    opened_with: list[list[ThreadPlan]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(opening, "free_memory", lambda: 4 * WEIGHTS)
    session = open_auto(heavy)
    assert isinstance(session, InProcessClient)
    session.close()
    assert opened_with == []
    assert "replicas: 1 instead of one on each of 2 NUMA nodes" in caplog.text


def test_engines_fit_beside_the_cache(heavy: Path) -> None:
    bundle = Bundle.open(heavy)
    assert engines_that_fit(bundle, "auto", EngineConfig(), 16 * WEIGHTS) == 6
    config = EngineConfig(kv_cache_memory=10 * WEIGHTS)
    assert engines_that_fit(bundle, "openvino", config, 16 * WEIGHTS) == 3
    assert engines_that_fit(bundle, "openvino", config, WEIGHTS) == 1


def test_one_engine_runs_in_this_process(folder: Path) -> None:
    for replicas in ("auto", 1):
        with LLM(folder, replicas=replicas) as llm:  # type: ignore[arg-type]
            assert isinstance(llm.client, InProcessClient)
            assert llm.replicas == 1


def test_one_engine_imports_nothing_for_several(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle")
    program = (
        "import sys\n"
        "import nanoaccel.runtime.llm, nanoaccel.runtime.engine.client\n"
        "assert not [name for name in sys.modules if 'replicas' in name]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
