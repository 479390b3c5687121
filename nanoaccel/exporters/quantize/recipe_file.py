"""Reads recipes: a preset by its name, or a file of one's own.

preset = "balanced"          # optional: what the file does not say is as in the preset
group_size = 32
target_size = "88MB"

[[overrides]]
layers = "*.mlp.down_proj"
weights = "int8"
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from nanoaccel.config_file import parse_toml
from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quantize.recipe import LIMITS, PRESET_MEANINGS, PRESETS, Override, Recipe
from nanoaccel.registry import did_you_mean
from nanoaccel.sizes import parse_bytes

_DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in fields(Recipe)}


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a value may be.

    Args:
        words: For people.
        types: As the file's parser gives them; a flag is no number.
    """

    words: str
    types: tuple[type, ...]

    def holds(self, value: object) -> bool:
        """Whether a value is of this kind."""
        return type(value) in self.types


_NAME = _Kind("a name in quotes", (str,))
_FLAG = _Kind("true or false", (bool,))
_COUNT = _Kind("a whole number", (int,))
_NUMBER = _Kind("a number", (int, float))
_SIZE = _Kind('bytes, or a size such as "88MB"', (int, str))
_NAMES = _Kind("a list of names in quotes", (list, tuple))
_TABLES = _Kind("a list of tables, each with layers and weights", (list, tuple))
_KINDS = {
    "weights": _NAME,
    "symmetric": _FLAG,
    "group_size": _COUNT,
    "fallback": _NAME,
    "methods": _NAMES,
    "embeddings": _NAME,
    "last_layer": _NAME,
    "backup": _NAME,
    "overrides": _TABLES,
    "share": _NUMBER,
    "target_bits": _NUMBER,
    "target_size": _SIZE,
    "max_kl": _NUMBER,
    "min_agreement": _NUMBER,
}


def read_recipe(name_or_path: str) -> Recipe:
    """The recipe of a preset, or of a ``.toml`` or ``.json`` file.

    A file's keys are the fields of ``Recipe``, and ``preset``, the name of one that it changes.

    Raises:
        ConfigError: There is no such preset or file, it is broken, or its values mean nothing; the
            message names the file and the key.
    """
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    path = Path(name_or_path)
    if not path.is_file():
        raise ConfigError(
            f"recipe {name_or_path!r} is neither a preset nor a file",
            f"Choose one of {', '.join(PRESETS)}, or name a .toml or .json file",
        )
    return recipe_from(_parse(path), name_or_path)


def recipe_from(values: Mapping[str, Any], where: str = "the recipe") -> Recipe:
    """The recipe that a file or a bundle's manifest describes.

    A limit replaces those of the preset, as limits contradict each other.

    Args:
        values: Values by field of ``Recipe``, and ``preset``, as JSON has them.
        where: What to call them in errors.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or contradicts another.
    """
    changes = dict(values)
    base = Recipe()
    if "preset" in changes:
        base = _preset(where, changes.pop("preset"))
    for key in changes:
        if key not in _KINDS:
            raise ConfigError(
                f"{where}: key {key!r} is unknown", did_you_mean(key, ["preset", *_KINDS])
            )
    read = {key: _read(where, key, value) for key, value in changes.items()}
    if any(key in LIMITS for key in read):
        base = base.without_limits()
    try:
        return replace(base, **read)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.problem}", error.remedy) from None


def recipe_to_json(recipe: Recipe) -> str:
    """The text of a file that reads as this recipe."""
    return json.dumps(asdict(recipe), indent=2) + "\n"


def describe_presets() -> list[tuple[str, str]]:
    """Each preset and what it means."""
    return [(name, PRESET_MEANINGS[name]) for name in PRESETS]


def _preset(where: str, name: object) -> Recipe:
    if not isinstance(name, str):
        raise _wrong(where, "preset", name, _NAME)
    if name not in PRESETS:
        raise ConfigError(f"{where}: preset={name!r} is unknown", did_you_mean(name, list(PRESETS)))
    return PRESETS[name]


def _read(where: str, key: str, value: Any) -> Any:
    """A value as the recipe's field has it."""
    kind = _KINDS[key]
    if value is None and _DEFAULTS[key] is None:
        return None
    if not kind.holds(value):
        raise _wrong(where, key, value, kind)
    if kind is _SIZE and isinstance(value, str):
        return parse_bytes(f"{where}: {key}", value)
    if kind is _NAMES:
        if not all(isinstance(name, str) for name in value):
            raise _wrong(where, key, value, kind)
        return tuple(value)
    if kind is _TABLES:
        return tuple(_override(where, table) for table in value)
    return value


def _override(where: str, table: object) -> Override:
    keys = {field.name for field in fields(Override)}
    if not isinstance(table, Mapping) or not all(isinstance(item, str) for item in table.values()):
        raise _wrong(where, "overrides", table, _TABLES)
    for key in table:
        if key not in keys:
            raise ConfigError(
                f"{where}: key {key!r} of an override is unknown", did_you_mean(key, sorted(keys))
            )
    if set(table) != keys:
        raise _wrong(where, "overrides", table, _TABLES)
    return Override(**table)


def _wrong(where: str, key: str, value: object, kind: _Kind) -> ConfigError:
    return ConfigError(f"{where}: {key}={value!r} has the wrong type", f"Write {kind.words}")


def _parse(path: Path) -> Mapping[str, Any]:
    if path.suffix not in (".toml", ".json"):
        raise ConfigError(f"recipe {path} is no .toml or .json file", "Give it one of these names")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"recipe {path} cannot be read: {reason}", "Mend the file") from error
    values = parse_toml(path, text, "recipe") if path.suffix == ".toml" else _parse_json(path, text)
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"recipe {path} is no table of keys and values", 'Write it as {"weights": "int4"}'
        )
    return values


def _parse_json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _broken(path, error.lineno, error.msg) from error


def _broken(path: Path, line: int, reason: str) -> ConfigError:
    return ConfigError(f"recipe {path} is broken in line {line}: {reason}", "Mend that line")
