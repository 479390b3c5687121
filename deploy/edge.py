"""Makes a folder that runs bundles and holds nothing else, for a device or a container.

    python3 deploy/edge.py FOLDER [--runtime onnx|openvino] [--server]

The folder is a virtual environment without pip. It has what a bundle needs to run and not all that
the packages ask for or bring: no client of model hubs, no other programs' tests, no converters.
``--server`` adds the command ``nanoaccel`` and its server. It needs nothing but a Python with pip.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What each part needs, complete: pip adds nothing to it.
RUNTIME = ("jinja2", "markupsafe", "numpy", "tokenizers")
BACKENDS = {"onnx": "onnxruntime", "openvino": "openvino"}
SERVER = (
    *("anyio", "click", "h11", "idna", "llguidance", "starlette", "typing-extensions", "uvicorn"),
    *("annotated-doc", "markdown-it-py", "mdurl", "pygments", "rich", "shellingham", "typer"),
    "exceptiongroup; python_version < '3.11'",
)
# What no program that runs bundles opens, by package.
UNUSED = {
    "nanoaccel": ("exporters/source/heads/*/*.bin",),
    "numpy": (
        *("f2py", "distutils", "random/_examples", "**/include", "**/*.a", "**/*.pxd"),
        *("_core/_simd.*", "_core/_*_tests.*"),
    ),
    "onnxruntime": (
        # The library for programs in C: Python's module has its own.
        *("capi/libonnxruntime.so*", "capi/libonnxruntime.*dylib"),
        *("backend", "datasets", "quantization", "tools", "transformers"),
    ),
    "openvino": (
        *("libs/*intel_gpu*", "libs/*intel_npu*", "libs/cache.json", "libs/*_auto*_plugin*"),
        *("libs/*_hetero_plugin*", "libs/*_proxy_plugin*", "libs/*openvino_c.*"),
        *(f"libs/*_{one}_frontend*" for one in ("gguf", "jax", "onnx", "paddle", "pytorch")),
        "libs/*_tensorflow*_frontend*",
        *(f"frontend/{one}" for one in ("jax", "onnx", "paddle", "pytorch", "tensorflow")),
        *("cmake", "include", "tools", "torch"),
    ),
    # Colours for all languages but Python, which tracebacks have.
    "pygments": ("lexers/[a-oq-z]*", "lexers/p[a-xz]*", "lexers/_*_builtins.py"),
}
EVERYWHERE = ("**/tests", "**/*.pyi")
CHECK = "import nanoaccel, jinja2, numpy, tokenizers, {}; nanoaccel.LLM"


def make(folder: Path, runtime: str, *, server: bool = False, nanoaccel: str = str(ROOT)) -> Path:
    """Make the folder.

    Args:
        folder: A new one.
        runtime: One of ``BACKENDS``.
        server: Add the command and its server.
        nanoaccel: What pip installs NanoAccel from: a wheel, a source tree or a requirement.

    Returns:
        Where its packages are.

    Raises:
        SystemExit: The folder is there, this Python is too old, or pip fails.
    """
    if folder.exists():
        raise SystemExit(f"{folder} exists: name a new folder")
    if runtime == "onnx" and sys.version_info < (3, 11):
        raise SystemExit("ONNX Runtime needs Python 3.11 or newer: use one, or --runtime openvino")
    venv.create(folder, symlinks=sys.platform != "win32")
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = (*RUNTIME, BACKENDS[runtime], *(SERVER if server else ()), nanoaccel)
    try:
        _install(python, wanted)
        asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
        packages = Path(subprocess.check_output(asked, text=True).strip())
        prune(packages)
        # Once, for all who may not write there; what was copied keeps no times.
        compiling = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
        subprocess.run([str(python), *compiling, str(packages)], check=True)
        subprocess.run([str(python), "-c", CHECK.format(BACKENDS[runtime])], check=True)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, subprocess.CalledProcessError):
            raise SystemExit(f"{folder} was not made: see above") from None
        raise
    return packages


def prune(packages: Path) -> None:
    """Remove what runs no bundle from a folder of packages."""
    for name, patterns in UNUSED.items():
        for pattern in (*patterns, *EVERYWHERE):
            for path in sorted((packages / name).glob(pattern)):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


def size(folder: Path) -> int:
    """Bytes of all files below a folder, each counted once; links are not followed."""
    files = (path.lstat() for path in folder.rglob("*") if not path.is_dir())
    return sum({(file.st_dev, file.st_ino): file.st_size for file in files}.values())


def _install(python: Path, wanted: tuple[str, ...]) -> None:
    pip = (sys.executable, "-m", "pip", "--python", str(python), "install")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    if (ROOT / "constraints.txt").is_file():  # it may be alone
        options += ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, *options, *wanted], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--runtime", choices=BACKENDS, default="onnx")
    parser.add_argument("--server", action="store_true", help="with the command nanoaccel")
    alone = not (ROOT / "pyproject.toml").is_file()
    source = "nanoaccel" if alone else str(ROOT)
    parser.add_argument("--nanoaccel", default=source, metavar="WHEEL", help="or a requirement")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.absolute()
    packages = make(
        folder, arguments.runtime, server=arguments.server, nanoaccel=arguments.nanoaccel
    )
    for part in sorted(packages.iterdir(), key=size, reverse=True)[:8]:
        print(f"{size(part) / 1e6:6.1f} MB  {part.name}")
    print(f"{size(folder) / 1e6:6.1f} MB  {folder}")


if __name__ == "__main__":
    main()
