"""The key/value fields at the head of a GGUF file, as plain Python values.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from nanoaccel.errors import GGUFError
from nanoaccel.exporters.source.gguf.parts import check_part, find_parts
from nanoaccel.exporters.source.gguf.reader import open_file

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType, GGUFReader, ReaderField

_Value = TypeVar("_Value", str, int, float, bool)

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DOWNLOAD_AGAIN = "Download or convert it again; if it is complete, upgrade the gguf package"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor of a file.

    Attributes:
        part: The file.
        shape: Rows first, as numpy has it.
        data: Its bytes as they are stored, mapped.
        kind: How they are stored.
    """

    part: Path
    shape: tuple[int, ...]
    data: NDArray[Any]
    kind: "GGMLQuantizationType"


@dataclass(frozen=True, slots=True)
class GGUFMetadata:
    """The fields of one GGUF file.

    Attributes:
        path: The file; error messages name it.
        architecture: `general.architecture`, the prefix of the model's own keys.
        fields: Every key with its value: str, int, float, bool, or a tuple of one of them.
        parts: The files that hold the tensors, `path` first.
        tensors: Tensors by their names.
    """

    path: Path
    architecture: str
    fields: Mapping[str, object]
    parts: tuple[Path, ...] = ()
    tensors: Mapping[str, StoredTensor] = field(default_factory=dict)

    def find(self, key: str, kind: type[_Value]) -> _Value | None:
        """The value of `key`, or None if the file has no such key.

        Raises:
            GGUFError: The value is not a `kind`. An integer passes for a float.
        """
        value = self.fields.get(key)
        return None if value is None else self._checked(key, value, kind)

    def require(self, key: str, kind: type[_Value]) -> _Value:
        """The value of `key`.

        Raises:
            GGUFError: The file has no such key, or its value is not a `kind`.
        """
        value = self.find(key, kind)
        if value is None:
            raise self._missing(key)
        return value

    def find_array(self, key: str, kind: type[_Value]) -> tuple[_Value, ...] | None:
        """The elements of the array `key`, or None if the file has no such key.

        Raises:
            GGUFError: The value is not an array, or an element is not a `kind`.
        """
        values = self.fields.get(key)
        if values is None:
            return None
        if not isinstance(values, tuple):
            raise self._mistyped(key, values, f"an array of {kind.__name__}")
        return tuple(self._checked(key, value, kind) for value in values)

    def require_array(self, key: str, kind: type[_Value]) -> tuple[_Value, ...]:
        """The elements of the array `key`.

        Raises:
            GGUFError: The file has no such key, or it does not hold an array of `kind`.
        """
        values = self.find_array(key, kind)
        if values is None:
            raise self._missing(key)
        return values

    def _checked(self, key: str, value: object, kind: type[_Value]) -> _Value:
        # bool is an int in Python, but never in a GGUF file.
        if isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
            return value
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return kind(value)
        raise self._mistyped(key, value, kind.__name__)

    def _missing(self, key: str) -> GGUFError:
        return GGUFError(f"{self.path} has no '{key}'", _DOWNLOAD_AGAIN)

    def _mistyped(self, key: str, value: object, expected: str) -> GGUFError:
        found = type(value).__name__
        return GGUFError(f"'{key}' of {self.path} is a {found}, not {expected}", _DOWNLOAD_AGAIN)


def read_metadata(path: Path) -> GGUFMetadata:
    """Read the fields of a GGUF file, and of its other parts when it was split.

    Tensor data is not read, only checked to be there.

    Raises:
        GGUFError: A part cannot be opened or is missing, is not GGUF, is of an unknown version, is
            shorter than its header and tensors need, or none names its architecture.
    """
    parts = find_parts(path)
    fields: dict[str, object] = {}
    tensors: dict[str, StoredTensor] = {}
    for number, part in enumerate(parts):
        own, held = _read_part(part, number, len(parts))
        for key, value in own.items():
            if fields.setdefault(key, value) != value and not key.startswith("split."):
                raise GGUFError(f"{part} and {parts[0]} differ in '{key}'", _DOWNLOAD_AGAIN)
        twice = tensors.keys() & held.keys()
        if twice:
            raise GGUFError(f"{part} holds {min(twice)} a second time", _DOWNLOAD_AGAIN)
        tensors |= held
    expected = fields.get("split.tensors.count")
    if len(parts) > 1 and isinstance(expected, int) and expected != len(tensors):
        raise GGUFError(
            f"{parts[0]} and its other parts hold {len(tensors)} tensors, not {expected}",
            _DOWNLOAD_AGAIN,
        )
    architecture = fields.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise GGUFError(f"{path} does not name its architecture", _DOWNLOAD_AGAIN)
    return GGUFMetadata(parts[0], architecture, fields, parts, tensors)


def _read_part(
    path: Path, number: int, count: int
) -> tuple[dict[str, object], dict[str, StoredTensor]]:
    _check_version(path)
    try:
        # Opening it also lays out the tensors, which fails if the file ends before they do.
        reader = open_file(path)
        _check_last_field(reader)
        fields = {
            name: _plain(field)
            for name, field in reader.fields.items()
            if not name.startswith("GGUF.")
        }
        tensors = {
            one.name: StoredTensor(
                path, tuple(reversed(one.shape.tolist())), one.data, one.tensor_type
            )
            for one in reader.tensors
        }
    except (LookupError, ValueError, ArithmeticError, struct.error) as error:
        size = path.stat().st_size
        raise GGUFError(
            f"{path} is truncated or damaged: its header or its tensors do not fit {size:,} bytes",
            _DOWNLOAD_AGAIN,
        ) from error
    check_part(path, reader, number, count)
    return fields, tensors


def _check_version(path: Path) -> None:
    """Refuse what is not a little-endian GGUF file of a known version."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise GGUFError(
            f"{path} cannot be read: {error.strerror}", "Check the path and its permissions"
        ) from error
    if not head or head[:4] != _MAGIC[: len(head)]:
        raise GGUFError(
            f"{path} is not a GGUF file: it starts with {head[:4]!r}, not {_MAGIC!r}",
            "Pass a .gguf file, or the model's folder",
        )
    if len(head) < 8:
        raise GGUFError(f"{path} is truncated: it has only {len(head)} bytes", "Download it again")
    (version,) = struct.unpack("<I", head[4:])
    if version not in _VERSIONS:
        known = " and ".join(str(known) for known in _VERSIONS)
        raise GGUFError(
            f"{path} is GGUF version {version}; known are {known}, little-endian",
            "Convert it again with a current llama.cpp",
        )


def _check_last_field(reader: "GGUFReader") -> None:
    """Raise ValueError if the file ends inside its last field.

    The reader takes what is left of a value at the end of the file without complaint. Only the
    last field can end so: after any other, the next read fails.
    """
    from gguf import GGUFValueType

    field = next(reversed(reader.fields.values()))
    if GGUFValueType.STRING in field.types and len(field.parts[-1]) != int(field.parts[-2][0]):
        raise ValueError("the last string is cut off")
    if GGUFValueType.ARRAY in field.types and len(field.contents()) != len(field.data):
        raise ValueError("the last array is cut off")


def _plain(field: "ReaderField") -> object:
    value: object = field.contents()
    return tuple(value) if isinstance(value, list) else value
