"""Runs every operator on every path that a CPU has, over random cases: bits, values, bounds.

    python native/test.py [--cases N] [--seed N] [--sanitize address|thread] [--werror] [-O LEVEL]
    CXX=aarch64-linux-gnu-g++ python native/test.py --run qemu-aarch64
    CXX=clang++ python native/test.py --fuzz --cases 100000

The cases are in ``native/test``. A fuzzer finds them by coverage; without one they are random.
"""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
SANITIZE = {
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"),
    "thread": ("-fsanitize=thread", "-g", "-O1"),
}


def program(
    folder: Path, *, sanitize: str | None, fuzz: bool, werror: bool, level: str | None, static: bool
) -> Path:
    """Compile the operators, without what needs ONNX Runtime, and their test; the program."""
    build = _build_script()
    compiler = build.find_compiler()
    flags = [*compiler.flags(), f"-I{HERE / 'test'}"]
    flags += ["-Werror"] if werror else []
    flags += ["-fsanitize=fuzzer-no-link", *SANITIZE["address"]] if fuzz else []
    flags += SANITIZE[sanitize] if sanitize is not None else ()
    flags += [f"-O{level}", "-g1"] if level is not None else []
    objects = []
    for name in ("src", "test"):
        (folder / name).mkdir()
        objects += build.compile_units(compiler, flags, HERE / name, folder / name)
    if fuzz:  # which has a main of its own
        objects = [one for one in objects if one.stem != "main"]
        flags += ["-fsanitize=fuzzer"]
    made = folder / "test_operators"
    link = ["-static"] if static else []
    build.run([*compiler.command, *flags, *map(str, objects), "-pthread", *link, "-o", str(made)])
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sanitize", choices=SANITIZE)
    parser.add_argument("--fuzz", action="store_true", help="with libFuzzer and ASan: Clang")
    parser.add_argument("--werror", action="store_true", help="warnings are errors")
    parser.add_argument("-O", dest="level", help="how much to optimize; 0 suits few cases")
    parser.add_argument("--run", default="", help="what runs the program, such as qemu-aarch64")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = program(
            Path(folder),
            sanitize=given.sanitize,
            fuzz=given.fuzz,
            werror=given.werror,
            level=given.level,
            static=bool(given.run),
        )
        command = [*shlex.split(given.run), str(made)]
        if given.fuzz:
            command += [f"-runs={given.cases}", f"-seed={given.seed}", "-max_len=64"]
        else:
            command += [str(given.cases), str(given.seed)]
        sys.exit(subprocess.run(command, check=False).returncode)


def _build_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nanoaccel_native_build", HERE / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
