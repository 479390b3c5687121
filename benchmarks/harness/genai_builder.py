"""The process in which onnxruntime-genai's model builder runs: it makes the peer's graph.

It is started as a script, changes ``sys.path``, and imports classes of all architectures that it
knows from transformers; those that the installed version has not are replaced by empty ones. It
reads the rotary embedding from fields that transformers 5 has moved; they are put back.
"""

from __future__ import annotations

import ast
import runpy
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import transformers

_BUILDER = "onnxruntime_genai.models.builder"
_MOVED = ("rope_theta", "partial_rotary_factor")


def main(checkpoint: str, folder: str, precision: str, *options: str) -> None:
    """Build the graph of a checkpoint for the CPU.

    Args:
        checkpoint: Folder with config.json, safetensors and a tokenizer.
        folder: Where the graph goes.
        precision: As the builder calls it: "int4".
        options: Extra ones of the builder, such as "int4_accuracy_level=4".
    """
    supply_missing_classes()
    restore_old_fields()
    with tempfile.TemporaryDirectory() as cache:
        sys.argv = [_BUILDER, "-i", checkpoint, "-o", folder, "-p", precision, "-e", "cpu"]
        sys.argv += ["-c", cache, "--extra_options", "windowed_kv_cache=false", *options]
        runpy.run_module(_BUILDER, run_name="__main__")


def supply_missing_classes() -> list[str]:
    """Give transformers placeholders for the classes that the builder imports and that it lacks."""
    spec = find_spec("onnxruntime_genai")
    assert spec is not None
    assert spec.origin is not None
    files = sorted((Path(spec.origin).parent / "models").rglob("*.py"))
    imported = sorted({name for path in files for name in _imported(path)})
    missing = [name for name in imported if not hasattr(transformers, name)]
    # Asking transformers for what it lacks may put another module in its place.
    for name in missing:
        setattr(sys.modules["transformers"], name, type(name, (), {}))
    return missing


def restore_old_fields() -> None:
    """Let configs that are loaded have the fields of the rotary embedding that they had before."""
    kind = sys.modules["transformers"].AutoConfig
    load = kind.from_pretrained

    def load_with_old_fields(*args: Any, **kwargs: Any) -> Any:
        config = load(*args, **kwargs)
        rope = getattr(config, "rope_parameters", None) or {}
        for name, value in old_fields(rope).items():
            if getattr(config, name, None) is None:
                setattr(config, name, value)
        return config

    kind.from_pretrained = load_with_old_fields


def old_fields(rope: Mapping[str, Any]) -> dict[str, Any]:
    """What was a field of its own before transformers 5.

    Args:
        rope: ``rope_parameters`` of a config, of all layers or by kind of layer.
    """
    found = {name: rope[name] for name in _MOVED if rope.get(name) is not None}
    full, local = rope.get("full_attention"), rope.get("sliding_attention")
    if isinstance(full, Mapping):
        found.update(old_fields(full))
    if isinstance(local, Mapping):
        found["rope_local_base_freq"] = local["rope_theta"]
    return found


def _imported(path: Path) -> list[str]:
    """Names that a file imports from transformers itself, wherever in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "transformers"
        for alias in node.names
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
