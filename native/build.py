"""Compiles the operators into one shared library, with nothing but a C++ compiler.

    python native/build.py [--sanitize] [--output FILE]

GCC and Clang compile them; on Windows that is LLVM's ``clang++``, or MinGW's ``g++``: the code
uses their builtins, which ``cl`` has not got. ``CXX`` names another one, also a cross compiler.
The build hook calls this too, so an install compiles them where a compiler is, and notes why not
where none is.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "src"
PACKAGE = SOURCES.parents[1] / "nanoaccel" / "runtime" / "native"
LIBRARY = {"win32": "nanoaccel_operators.dll", "darwin": "libnanoaccel_operators.dylib"}.get(
    sys.platform, "libnanoaccel_operators.so"
)
REASON = "not-built.txt"
COMPILERS = ("clang++", "g++") if sys.platform == "win32" else ("c++", "g++", "clang++")

COMMON = (
    *("-std=c++17", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra"),
    # One sum has one value, whatever the compiler could fuse.
    *("-ffp-contract=off", "-fno-math-errno"),
)
OPTIONAL = (
    # With it GCC copies accumulators between registers in the innermost loops.
    "-fno-tree-pre",
    # GCC 12 takes what its own header of AVX-512 leaves undefined for a mistake.
    "-Wno-maybe-uninitialized",
)
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
AVX2 = ("-mavx2", "-mfma", "-mf16c")
# Each path has its instructions in one translation unit, path_<name>.cpp; the rest runs on any
# CPU of the architecture. Compilers that do not know the flags leave the path out.
PATHS = {
    "x86_64": {
        "avx2": AVX2,
        "avxvnni": (*AVX2, "-mavxvnni"),
        "avx512vnni": (
            *AVX2,
            *("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni"),
            "-mprefer-vector-width=512",
        ),
    },
    "aarch64": {
        "neon_dotprod": ("-march=armv8.2-a+dotprod",),
        "neon_i8mm": ("-march=armv8.2-a+dotprod+i8mm",),
    },
}
ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}
# The first macOS with all that is used.
MACOS = {"x86_64": "10.15", "aarch64": "11.0"}


class BuildError(Exception):
    """Why there is no library."""


@dataclass(frozen=True)
class Compiler:
    """A compiler and what it compiles for.

    Args:
        command: How it is called, and what it is told about its target.
        architecture: One of PATHS.
        system: "linux", "darwin", "mingw", "windows" (Microsoft's libraries) or another one.
    """

    command: tuple[str, ...]
    architecture: str
    system: str

    def accepts(self, *flags: str) -> bool:
        """Whether it knows some flags."""
        try:
            run([*self.command, "-Werror", *flags, "-E", "-x", "c++", os.devnull])
        except BuildError:
            return False
        return True

    def paths(self) -> dict[str, tuple[str, ...]]:
        """The paths that it can compile, with their flags."""
        wanted = PATHS[self.architecture]
        return {name: flags for name, flags in wanted.items() if self.accepts(*flags)}

    def flags(self) -> list[str]:
        """What all units are compiled with."""
        optional = [flag for flag in OPTIONAL if self.accepts(flag)]
        independent = [] if self.system in ("windows", "mingw") else ["-fPIC"]
        defined = [f"-DNANOACCEL_PATH_{name.upper()}" for name in self.paths()]
        return [*COMMON, *independent, *optional, *defined, f"-I{SOURCES}"]


@dataclass(frozen=True)
class Built:
    """What a build left.

    Args:
        file: The library, or a text with the reason why there is none.
        compiler: What made the library; None when there is none.
        reason: Why there is none.
    """

    file: Path
    compiler: Compiler | None = None
    reason: str = ""


def find_compiler() -> Compiler:
    """The C++ compiler: that of CXX, or one that is found.

    Raises:
        BuildError: There is none, or it compiles for a machine that has no operators.
    """
    command = _named_compiler() or next(([name] for name in COMPILERS if shutil.which(name)), None)
    if command is None:
        raise BuildError("no C++ compiler was found when NanoAccel was installed")
    if Path(command[0]).stem.lower() == "cl":
        raise BuildError("cl does not know the builtins that are used; install LLVM's clang++")
    target = run([*command, "-dumpmachine"]).strip()
    machine = target.partition("-")[0].lower()
    system = next(
        (name for name in ("linux", "darwin", "mingw", "windows") if name in target), target
    )
    if system == "darwin":
        machine = _mac_architecture() or machine
    architecture = ARCHITECTURES.get(machine, machine)
    if architecture not in PATHS:
        raise BuildError(f"there are no operators for {machine or 'this machine'} yet")
    if system == "darwin":
        command += [
            "-arch",
            apple_name(architecture),
            f"-mmacosx-version-min={MACOS[architecture]}",
        ]
    return Compiler(tuple(command), architecture, system)


def apple_name(architecture: str) -> str:
    """What macOS calls an architecture."""
    return "arm64" if architecture == "aarch64" else architecture


def build(output: Path, *, sanitize: bool = False) -> Compiler:
    """Compile and link; the compiler that did it.

    Raises:
        BuildError: There is no compiler, or it fails.
        OSError: The file cannot be written.
    """
    compiler = find_compiler()
    flags = [*compiler.flags(), *(SANITIZE if sanitize else ())]
    with tempfile.TemporaryDirectory() as folder:
        objects = compile_units(compiler, flags, SOURCES, Path(folder))
        made = Path(folder) / output.name
        link = [*compiler.command, *flags, "-shared", *map(str, objects), "-o", str(made)]
        _link(link, () if sanitize else _static(compiler))
        output.parent.mkdir(parents=True, exist_ok=True)
        new = output.with_name(f"{output.name}.new")  # a process may have the old one loaded
        shutil.copyfile(made, new)
        new.replace(output)
    return compiler


def build_or_note(folder: Path = PACKAGE) -> Built:
    """Build into a folder; where that fails, write the reason there, which ``doctor`` tells."""
    library, note = folder / LIBRARY, folder / REASON
    try:
        compiler = build(library)
        note.unlink(missing_ok=True)
    except (BuildError, OSError) as error:
        with contextlib.suppress(OSError):  # of a folder that nobody may write
            library.unlink(missing_ok=True)
            note.write_text(f"{error}\n", encoding="utf-8")
        return Built(note, reason=str(error))
    return Built(library, compiler)


def compile_units(
    compiler: Compiler, flags: Sequence[str], sources: Path, folder: Path
) -> list[Path]:
    """Compile all units below a folder, those of other architectures' paths left out.

    Args:
        compiler: The compiler.
        flags: What all units are compiled with.
        sources: Where the units are.
        folder: Where the objects go.

    Raises:
        BuildError: The compiler fails.
    """
    paths = {f"path_{name}.cpp": own for name, own in compiler.paths().items()}
    others = {f"path_{name}.cpp" for some in PATHS.values() for name in some} - paths.keys()
    units = [unit for unit in sorted(sources.rglob("*.cpp")) if unit.name not in others]
    objects = [folder / f"{unit.stem}.o" for unit in units]
    commands = [
        [*compiler.command, *flags, *paths.get(unit.name, ()), "-c", str(unit), "-o", str(made)]
        for unit, made in zip(units, objects, strict=True)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, commands))
    return objects


def run(command: Sequence[str]) -> str:
    """Run a program; what it printed.

    Raises:
        BuildError: It is not there, or fails.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, errors="replace"
        )
    except OSError as error:
        raise BuildError(f"{command[0]} does not run: {error}") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        told = lines[0] if lines else done.stderr.strip() or f"exit code {done.returncode}"
        raise BuildError(f"{command[0]} failed: {told}")
    return done.stdout


def _named_compiler() -> list[str]:
    """The command in CXX; empty when it names none."""
    named = os.environ.get("CXX", "")
    try:
        return shlex.split(named, posix=sys.platform != "win32")
    except ValueError as error:
        raise BuildError(f"CXX={named} is no command: {error}") from error


def _mac_architecture() -> str | None:
    """What ARCHFLAGS asks for, as those who build wheels set it."""
    words = os.environ.get("ARCHFLAGS", "").split()
    wanted = {word for before, word in itertools.pairwise(words) if before == "-arch"}
    if len(wanted) > 1:
        raise BuildError("ARCHFLAGS names two architectures; each has a wheel of its own")
    return wanted.pop() if wanted else None


def _static(compiler: Compiler) -> tuple[str, ...]:
    """What puts the compiler's libraries into ours."""
    if compiler.system == "linux":
        return ("-static-libstdc++", "-static-libgcc")
    return ("-static",) if compiler.system == "mingw" else ()


def _link(command: Sequence[str], static: Sequence[str]) -> None:
    try:
        run([*command, *static])
    except BuildError:
        if not static:
            raise
        run(command)  # some systems have the shared ones alone


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
