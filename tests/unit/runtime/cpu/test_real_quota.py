"""A quota that this machine really enforces, seen by a process under it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_V1, _V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
_LOOK = """
import json, os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
from nanoaccel.runtime.cpu.machine import this_machine
from nanoaccel.runtime.cpu.threads import plan_here
from nanoaccel.runtime.cpu.workload import Workload
plan = plan_here(Workload())
print(json.dumps([this_machine().allowance.quota, plan.threads, plan.spinning]))
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with a quota of one CPU, which is removed again."""
    one = _V1 if (_V1 / "cpu.cfs_quota_us").exists() else _V2
    folder = one / f"nanoaccel-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        try:
            if one == _V1:
                (folder / "cpu.cfs_quota_us").write_text("100000")
            else:
                (folder / "cpu.max").write_text("100000 100000")
        except OSError as error:
            pytest.skip(f"no quota can be set here: {error}")
        yield folder
    finally:
        folder.rmdir()


def test_quota_of_this_machine_is_seen(group: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, str(group)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "cgroup.procs" in done.stderr or "PermissionError" in done.stderr:
        pytest.skip(f"no process can be moved to a control group here: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1.0, 1, "never"]
