"""Where an export writes, and what it does where it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import nanoaccel

pytestmark = pytest.mark.export


@pytest.mark.skipif(sys.platform == "win32", reason="the home folder is set otherwise")
@pytest.mark.parametrize("writable", [True, False])
def test_export_writes_to_its_folder_and_the_cache_only(
    writable: bool, tiny_model: Path, tmp_path: Path
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    (tmp_path / "file").write_text("")
    cache = tmp_path / ("cache" if writable else "file/cache")
    root = str(Path(nanoaccel.__file__).parents[1])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    left = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "nanoaccel", "export", tiny_model, tmp_path / "out"),
            *("--method", "scale-estimation", "--calibration-samples", "2"),
            *("--calibration-length", "64", "--runtime", "openvino", "--recipe", "fast"),
        ],
        env={**left, "PYTHONPATH": paths, "HOME": str(home), "NANOACCEL_CACHE": str(cache)},
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [*home.rglob("*"), *here.rglob("*")] == []
    told = [line for line in done.stderr.splitlines() if "cache folder" in line]
    if writable:
        assert told == []
        assert {path.name for path in cache.iterdir()} >= {"references", "calibration"}
    else:
        (line,) = told
        assert line.partition(" warning: ")[2].startswith(
            f"the cache folder {cache} cannot be written (Not a directory"
        )
        assert str(tmp_path / "out") not in line
