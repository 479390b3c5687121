"""Compiles the operators into one shared library, with nothing but a C++ compiler.

    python native/build.py [--sanitize] [--output FILE]

The build hook calls it too, so an install compiles them where a compiler is, and notes why not
where none is.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "src"
PACKAGE = SOURCES.parents[1] / "nanoaccel" / "runtime" / "native"
LIBRARY = {"win32": "nanoaccel_operators.dll", "darwin": "libnanoaccel_operators.dylib"}.get(
    sys.platform, "libnanoaccel_operators.so"
)
REASON = "not-built.txt"
MACHINES = ("x86_64", "amd64")

COMMON = (
    *("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"),
    # One sum has one value, whatever the compiler could fuse.
    *("-ffp-contract=off", "-fno-math-errno"),
    # With it GCC copies accumulators between registers in the innermost loops.
    "-fno-tree-pre",
)
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
AVX2 = ("-mavx2", "-mfma", "-mf16c")
# Each path has its instructions in one translation unit; the rest runs on any CPU.
PATHS = {
    "path_avx2.cpp": AVX2,
    "path_avxvnni.cpp": (*AVX2, "-mavxvnni"),
    "path_avx512vnni.cpp": (
        *AVX2,
        *("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni"),
        "-mprefer-vector-width=512",
    ),
}


class BuildError(Exception):
    """Why there is no library."""


def compiler() -> list[str]:
    """The C++ compiler: that of CXX, or one that is found.

    Raises:
        BuildError: There is none, or none is needed for this machine.
    """
    if platform.machine().lower() not in MACHINES:
        raise BuildError(f"there are no operators for {platform.machine()} yet")
    named = os.environ.get("CXX")
    if named is not None:
        return shlex.split(named)
    for name in ("c++", "g++", "clang++"):
        if shutil.which(name) is not None:
            return [name]
    raise BuildError("no C++ compiler was found when NanoAccel was installed")


def build(output: Path, *, sanitize: bool = False) -> None:
    """Compile and link.

    Raises:
        BuildError: There is no compiler, or it fails.
    """
    command = compiler()
    common = [*COMMON, *(SANITIZE if sanitize else ()), f"-I{SOURCES}"]
    skipped: set[str] = set()
    if _accepts(command, "-mavxvnni"):
        common.append("-DNANOACCEL_AVXVNNI")
    else:  # older than GCC 11 or Clang 12
        skipped.add("path_avxvnni.cpp")
    sources = [path for path in sorted(SOURCES.rglob("*.cpp")) if path.name not in skipped]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = [Path(folder) / f"{source.stem}.o" for source in sources]
        commands = [
            [*command, *common, *PATHS.get(source.name, ()), "-c", str(source), "-o", str(made)]
            for source, made in zip(sources, objects, strict=True)
        ]
        list(pool.map(_run, commands))
        made = Path(folder) / output.name
        static = ["-static-libstdc++", "-static-libgcc"] if sys.platform == "linux" else []
        link = [] if sanitize else static
        _run([*command, *common, "-shared", *map(str, objects), *link, "-o", str(made)])
        output.parent.mkdir(parents=True, exist_ok=True)
        new = output.with_name(f"{output.name}.new")  # a process may have the old one loaded
        shutil.copyfile(made, new)
        new.replace(output)


def build_or_note(package: Path = PACKAGE) -> Path | None:
    """Build into the package; where that fails, write the reason there, which ``doctor`` tells."""
    library, reason = package / LIBRARY, package / REASON
    reason.unlink(missing_ok=True)
    try:
        build(library)
    except BuildError as error:
        library.unlink(missing_ok=True)
        reason.write_text(f"{error}\n", encoding="utf-8")
        return None
    return library


def _accepts(command: Sequence[str], flag: str) -> bool:
    try:
        _run([*command, flag, "-E", "-x", "c++", os.devnull, "-o", os.devnull])
    except BuildError:
        return False
    return True


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"{command[0]} does not run: {error}") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        raise BuildError(f"{command[0]} failed: {lines[0] if lines else done.stderr.strip()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sanitize", action="store_true", help="with ASan and UBSan")
    parser.add_argument("--output", type=Path, default=PACKAGE / LIBRARY)
    arguments = parser.parse_args()
    try:
        build(arguments.output, sanitize=arguments.sanitize)
    except BuildError as error:
        raise SystemExit(str(error)) from error
    print(arguments.output)


if __name__ == "__main__":
    main()
