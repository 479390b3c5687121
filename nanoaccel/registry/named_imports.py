"""Names of the project's own parts, which are imported when they are first used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from nanoaccel.closest import did_you_mean
from nanoaccel.errors import ConfigError, MissingExtraError

_NONE: Mapping[str, str] = MappingProxyType({})


class NamedImports:
    """Parts of one kind, by name: a lower layer names a higher one without importing it.

    Args:
        kind: What they are, in the plural, as "eviction_policies".
        builtin: Name to "module:attribute".
        extras: The extra that brings what a name needs, where it has another name.
    """

    def __init__(
        self, kind: str, builtin: Mapping[str, str], extras: Mapping[str, str] = _NONE
    ) -> None:
        self.kind = kind
        self._builtin = dict(builtin)
        self._extras = extras

    @property
    def noun(self) -> str:
        """What one of them is called, as "eviction policy"."""
        words = self.kind.replace("_", " ")
        return f"{words[:-3]}y" if words.endswith("ies") else words.removesuffix("s")

    def add(self, name: str, target: str) -> None:
        """Let a name stand for ``"module:attribute"`` in this process, without a package."""
        self._builtin[name] = target

    def names(self) -> list[str]:
        """All names."""
        return sorted(self._builtin)

    def resolve(self, name: str) -> Any:
        """Import what a name stands for.

        Raises:
            ConfigError: Nobody offers that name.
            MissingExtraError: What it needs is not installed.
        """
        if name not in self._builtin:
            raise ConfigError(f"there is no {self.noun} {name!r}", did_you_mean(name, self.names()))
        module, attribute = self._builtin[name].split(":")
        try:
            return getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{name} needs {error.name}, which is not installed",
                f'Install it: pip install "nanoaccel[{self._extras.get(name, name)}]"',
            ) from error
