"""What a model's name or folder is, by what the folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

from nanoaccel.bundle import MANIFEST
from nanoaccel.errors import ConfigError, SourceError
from nanoaccel.registry import did_you_mean

Kind: TypeAlias = Literal["model", "gguf", "bundle", "optimum", "genai"]

KINDS: dict[Kind, str] = {
    "model": "a model of transformers: a hub id, or a folder with config.json and its weights",
    "gguf": "a .gguf file of llama.cpp, or 'sample'",
    "bundle": "a folder with nanoaccel.json",
    "optimum": "a folder of optimum-intel: openvino_model.xml, config.json, a tokenizer",
    "genai": "a folder of onnxruntime-genai: genai_config.json, a graph, a tokenizer",
}
# In this order: a bundle's own folders hold some of the others' files.
_MARKS: dict[str, Kind] = {
    MANIFEST: "bundle",
    "openvino_model.xml": "optimum",
    "genai_config.json": "genai",
    "config.json": "model",
}
_GGUF = ".gguf"


def kind_of(source: str) -> Kind:
    """The kind of what a user names.

    Raises:
        SourceError: It is a folder of none of them, or a file that is not GGUF.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        for name, kind in _MARKS.items():
            if (path / name).is_file():
                return kind
        ggufs = sorted(path.glob(f"*{_GGUF}"))
        raise SourceError(
            f"{path} holds none of {', '.join(_MARKS)}",
            f"Name the file: {ggufs[0]}" if ggufs else "Name a model's folder, a file or a hub id",
        )
    if path.suffix == _GGUF or source == "sample":
        return "gguf"
    if path.is_file():
        raise SourceError(f"{path} is no {_GGUF} file", "Name a folder, a .gguf file or a hub id")
    return "model"


def target_kind(asked: str | None, out: Path) -> Kind:
    """What shall be made: as it was asked for, else by the output's name.

    Raises:
        ConfigError: It is no kind that there is.
    """
    if asked is None:
        return "gguf" if out.suffix == _GGUF else "bundle"
    for kind in get_args(Kind):
        if asked == kind:
            return _checked(kind, out)
    raise ConfigError(f"--to {asked!r} is unknown", did_you_mean(asked, list(KINDS)))


def _checked(kind: Kind, out: Path) -> Kind:
    if (kind == "gguf") != (out.suffix == _GGUF):
        expected = f"a file's name that ends in {_GGUF}" if kind == "gguf" else "a folder's name"
        raise ConfigError(
            f"OUT is {out.name!r}, and --to {kind} makes another thing", f"Give it {expected}"
        )
    return kind
