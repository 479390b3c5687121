"""One order for all settings: arguments, environment, nanoaccel.toml; what is left is default."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from nanoaccel.errors import ConfigError
from nanoaccel.settings.files import ConfigFile, read_files
from nanoaccel.settings.table import SETTINGS, Setting

Origin: TypeAlias = Literal["argument", "environment", "file", "tuned", "default"]
_BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Found:
    """A value, and who gave it.

    Args:
        value: The value.
        origin: Kind of who gave it.
        place: The variable, or file and line; empty for others.
    """

    value: object
    origin: Origin
    place: str = ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings of a table that somebody has set.

    Args:
        found: Values by key.
    """

    found: Mapping[str, Found]

    @property
    def values(self) -> dict[str, object]:
        """Values by key, without where they come from."""
        return {key: found.value for key, found in self.found.items()}

    @contextmanager
    def naming_places(self) -> Iterator[None]:
        """Inside, an error about a value says where that was set.

        Raises:
            ConfigError: As inside, whose message begins with the name of an option.
        """
        try:
            yield
        except ConfigError as error:
            found = self.found.get(error.problem.partition("=")[0])
            if found is None or not found.place:
                raise
            raise type(error)(f"{found.place}: {error.problem}", error.remedy) from error


def resolve(
    table: str,
    arguments: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Resolved:
    """Look for the settings of a table.

    Args:
        table: Its name; empty for keys outside of tables.
        arguments: What was given by argument or option; None is not given. Keys that are no
            settings are ignored.
        environment: Variables; None are those of this process.

    Raises:
        ConfigError: A variable or a file has a wrong value.
    """
    given = {} if arguments is None else arguments
    variables = os.environ if environment is None else environment
    files = read_files()
    wanted = [setting for setting in SETTINGS if setting.table == table]
    looked = {
        setting.key: _find(setting, given.get(setting.key), variables, lambda: files)
        for setting in wanted
    }
    return Resolved({key: found for key, found in looked.items() if found is not None})


def setting(name: str) -> Found | None:
    """One setting by table and key, without arguments; None where nobody has set it.

    Raises:
        ConfigError: A variable or a file has a wrong value.
    """
    return _find(_BY_NAME[name], None, os.environ, read_files)


def check_argument(name: str, option: str, value: object) -> None:
    """Check the text of an option that no command reads itself.

    Args:
        name: The setting.
        option: What to call it.
        value: What was given.

    Raises:
        ConfigError: It has the wrong type.
    """
    kind = _BY_NAME[name].kind
    try:
        kind.take(value, Path())
    except ValueError:
        raise ConfigError(
            f"{option} {value!r:.80} is unknown", f"It is {kind.example}".replace('"', "")
        ) from None


def _find(
    setting: Setting,
    argument: object,
    variables: Mapping[str, str],
    files: Callable[[], Sequence[ConfigFile]],
) -> Found | None:
    if argument is not None:
        return Found(argument, "argument")
    text = variables.get(setting.variable)
    if text is not None and (text.strip() or setting.empty_counts):
        return Found(_parsed(setting, text.strip()), "environment", setting.variable)
    if not setting.in_file:
        return None
    saying = [file for file in files() if setting.name in file.values]
    if not saying:
        return None
    value, place = saying[0].values[setting.name], saying[0].place(setting.name)
    if setting.adds_up:
        lists = [file.values[setting.name] for file in saying]
        value = tuple(item for names in lists if isinstance(names, tuple) for item in names)
        place = "; ".join(file.place(setting.name) for file in saying)
    return Found(value, "file", place)


def _parsed(setting: Setting, text: str) -> object:
    try:
        return setting.kind.take(setting.kind.parse(text), Path())
    except (TypeError, ValueError):
        shown = "" if setting.kind.secret else f"={text!r:.80}"
        example = setting.kind.example.strip("[]").replace('"', "")
        raise ConfigError(
            f"{setting.variable}{shown} has the wrong type",
            f"Write {setting.variable}={example}, or leave it empty",
        ) from None
