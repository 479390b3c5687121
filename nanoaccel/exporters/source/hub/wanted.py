"""Which files of a repository are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from nanoaccel.bundle import MANIFEST
from nanoaccel.errors import SourceError

# Of a model of transformers; other formats of the same weights stand beside them.
SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.txt")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
SKIPPED = ("*/*", "consolidated*")
_FOLDERS = (MANIFEST, "openvino_model.xml", "genai_config.json")
_TEMPLATES = "additional_chat_templates/*.jinja"


def wanted_files(name: str, paths: Sequence[str], patterns: Sequence[str] = ()) -> list[str]:
    """The files that make a model, a bundle or a folder that runs as it is.

    Args:
        name: Name of the repository.
        paths: All its files.
        patterns: What the user asked for; empty leaves it to what there is.

    Raises:
        SourceError: None of the files match, there are no weights, or several GGUF files and
            nothing that says which.
    """
    if patterns:
        found = [path for path in paths if _matches(path, patterns)]
        if not found:
            raise SourceError(
                f"no file of {name} matches {', '.join(patterns)}",
                f"It has {', '.join(sorted(paths)[:12])}",
            )
        return found
    if any(mark in paths for mark in _FOLDERS):
        return [path for path in paths if not path.startswith(".")]
    top = [path for path in paths if not _matches(path, SKIPPED)]
    small = [path for path in top if _matches(path, SMALL_FILES)]
    small += [path for path in paths if fnmatchcase(path, _TEMPLATES)]
    for pattern in WEIGHTS:
        weights = [path for path in top if fnmatchcase(path, pattern)]
        if weights:
            return sorted({*small, *weights})
    ggufs = [path for path in paths if path.endswith(".gguf")]
    if len(ggufs) == 1:
        return ggufs
    if ggufs:
        raise SourceError(
            f"{name} has {len(ggufs)} GGUF files: {', '.join(sorted(ggufs)[:8])}",
            "Say which: --file NAME; for a model of several parts, --file 'NAME-*.gguf'",
        )
    raise SourceError(
        f"{name} has no weights that can be read: no *.safetensors, *.bin or *.gguf",
        "Name the repository of the model itself",
    )


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)
