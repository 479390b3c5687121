"""Every operator on every path, by the program in native/test: bits, values and bounds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "native" / "test.py"
CROSS, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"


def run(*options: str, cxx: str) -> str:
    """What the program printed, which passed."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *options],
        env={**os.environ, "CXX": cxx},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++: operators are not tested")
def test_operators_stay_in_bounds_and_have_the_bits_of_the_reference() -> None:
    printed = run("-O0", "--sanitize", "address", "--cases", "80", cxx="g++")
    assert "scalar\n80 cases" in printed


@pytest.mark.skipif(
    shutil.which(CROSS) is None or shutil.which(EMULATOR) is None,
    reason=f"there is no {CROSS} or no {EMULATOR}: AArch64 is not tested",
)
def test_operators_of_aarch64_have_the_bits_of_the_reference() -> None:
    printed = run("-O1", "--werror", "--run", EMULATOR, "--cases", "40", cxx=CROSS)
    assert "paths: neon_i8mm neon_dotprod scalar\n40 cases" in printed
