"""What the libraries below would send is off, unless the user has switched it on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import nanoaccel

_NAMES = ("HF_HUB_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED")
_SHOW = """
import os, sys
import nanoaccel
print([os.environ.get(name) for name in {names!r}])
try:
    import openvino_telemetry
    print("there")
except ImportError:
    print("hidden")
"""


def _run(home: Path, code: str, **variables: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NAMES}
    root = str(Path(nanoaccel.__file__).parents[1])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": paths, "HOME": str(home), **variables},
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_importing_switches_telemetry_off(home: Path) -> None:
    assert _run(home, _SHOW.format(names=_NAMES)) == [str(["1", "1", "0"]), "hidden"]


def test_what_the_user_has_set_stays(home: Path) -> None:
    found = _run(home, _SHOW.format(names=_NAMES), **dict.fromkeys(_NAMES, "mine"))
    assert found[0] == str(["mine"] * 3)


@pytest.mark.skipif(sys.platform == "win32", reason="the consent lies elsewhere")
@pytest.mark.parametrize("content", ["1\n", "0\n", ""])
def test_consent_that_was_given_stays(content: str, home: Path) -> None:
    pytest.importorskip("openvino")
    (home / "intel").mkdir()
    (home / "intel" / "openvino_telemetry").write_text(content)
    probe = (
        "import sys, nanoaccel; print(sys.modules.get('openvino_telemetry', 'free') is not None)"
    )
    assert _run(home, probe) == [str(content == "1\n")]


@pytest.mark.export
@pytest.mark.skipif(sys.platform == "win32", reason="the home folder is set otherwise")
@pytest.mark.parametrize("modules", ["onnxruntime", "openvino.tools.ovc, nncf", "transformers"])
def test_importing_the_libraries_writes_nothing_into_the_home_folder(
    modules: str, home: Path
) -> None:
    pytest.importorskip("nncf")
    _run(home, f"import nanoaccel, {modules}")
    assert list(home.rglob("*")) == []
