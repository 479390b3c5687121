"""Source distributions, which carry the tests and tables of other projects."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path


def fetch_sdist(name: str, folder: Path) -> Path:
    """The source distribution of an installed package, unpacked.

    Args:
        name: Of the package.
        folder: Where it is put.

    Raises:
        CalledProcessError: pip cannot fetch it; ``stderr`` says why.
    """
    command = ["download", "--quiet", "--no-deps", "--no-binary", name, "--dest", str(folder)]
    subprocess.run(
        [sys.executable, "-m", "pip", *command, f"{name}=={version(name)}"],
        check=True,
        capture_output=True,
        text=True,
    )
    (archive,) = folder.glob(f"{name}-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")
