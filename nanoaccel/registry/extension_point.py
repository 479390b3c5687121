"""One extension point: the project's own parts of a kind, and those that plugins bring."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from types import MappingProxyType
from typing import Any

from nanoaccel.errors import MissingExtraError, NanoAccelError, PluginError
from nanoaccel.registry.named_imports import NamedImports
from nanoaccel.registry.plugin import Plugin, find_plugins
from nanoaccel.registry.switches import disabled_plugins

_NONE: Mapping[str, str] = MappingProxyType({})
_log = logging.getLogger("nanoaccel.plugins")


class ExtensionPoint(NamedImports):
    """A set of named implementations of one interface, which packages add to.

    A package adds a name through an entry point in the group of the extension point, which names
    the version of the interface that it was written for:

        [project.entry-points."nanoaccel.drafters.v1"]
        mine = "my_package.drafter:Mine"

    What is built in cannot be replaced. A plugin that fails is switched off, with one line in the
    log, until the process ends.

    Args:
        kind: What is added, in the plural.
        version: Version of the interface; raised when what was written for it no longer fits.
        interface: "module:attribute" of the protocol that an entry point's object follows.
        makes: The same of the protocol of what that object makes, if it makes something.
        capabilities: Methods of the interface that need not be there: what has one can do more.
        builtin: Name to "module:attribute".
        extras: As for ``NamedImports``.
    """

    def __init__(
        self,
        kind: str,
        *,
        version: int,
        interface: str,
        makes: str | None = None,
        capabilities: tuple[str, ...] = (),
        builtin: Mapping[str, str] = _NONE,
        extras: Mapping[str, str] = _NONE,
    ) -> None:
        super().__init__(kind, builtin, extras)
        self.version = version
        self.interface = interface
        self.makes = makes
        self.capabilities = capabilities
        self._failed: dict[str, str] = {}

    @property
    def group(self) -> str:
        """Entry-point group that plugins use."""
        return f"nanoaccel.{self.kind}.v{self.version}"

    def is_plugin(self, name: str) -> bool:
        """Whether a name is not built in."""
        return name not in self._builtin

    def plugins(self) -> tuple[Plugin, ...]:
        """All that packages offer, also what is refused."""
        return find_plugins(self.kind)

    def plugins_named(self, name: str) -> list[Plugin]:
        """What packages offer under a name."""
        return [plugin for plugin in self.plugins() if plugin.name == name]

    def refusal(self, plugin: Plugin) -> str | None:
        """Why a plugin is not used, as far as is known without importing it; None when it is.

        Raises:
            ConfigError: A nanoaccel.toml cannot be read.
        """
        if plugin.interface is None:
            return f"its group names no version of the interface, as {self.group} does"
        if plugin.interface != self.version:
            return f"it is for version {plugin.interface} of the interface, this is {self.version}"
        if plugin.name in self._builtin:
            return f"{plugin.name!r} is built in"
        if disabled_plugins().intersection(plugin.names):
            return "disabled"
        if plugin != next(
            p for p in self.plugins_named(plugin.name) if p.interface == self.version
        ):
            return "another package offers the same name"
        return self._failed.get(plugin.name)

    def names(self) -> list[str]:
        """All names, built-in and plugged in, but for plugins that are refused or failed."""
        plugged = [plugin.name for plugin in self.plugins() if self.refusal(plugin) is None]
        return sorted({*self._builtin, *plugged})

    def resolve(self, name: str) -> Any:
        """Import what a name stands for.

        Raises:
            ConfigError: Nobody offers that name.
            MissingExtraError: What it needs is not installed.
            PluginError: A plugin of that name is refused, cannot be imported or is not what the
                interface says.
        """
        offers = [] if name in self._builtin else self.plugins_named(name)
        if not offers:
            return super().resolve(name)
        refusals = {plugin: self.refusal(plugin) for plugin in offers}
        plugin = next((p for p, refusal in refusals.items() if refusal is None), offers[0])
        refusal = refusals[plugin]
        if refusal is not None:
            raise PluginError(
                f"{self.noun} {name!r} of {plugin.package} is not used: {refusal}",
                "'nanoaccel plugins' shows what is installed",
                part=f"{self.noun} {name!r}",
            )
        try:
            found = plugin.load()
            check(found, self.interface, self.capabilities)
            if isinstance(found, type):
                self.check_made(name, found)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{self.noun} {name!r} of {plugin.package} cannot be used: {in_words(error)}",
                f"Update or remove the package, or disable it: --disable {name}",
                part=f"{self.noun} {name!r}",
            ) from error
        return found

    def make(self, name: str, *arguments: Any) -> Any:
        """What the object of a name makes of some arguments, checked.

        Raises:
            ConfigError: Nobody offers that name.
            MissingExtraError: What it needs is not installed.
            PluginError: It cannot be used, or what it made is not what the interface says.
        """
        factory = self.resolve(name)
        with self.named(name):
            made = factory(*arguments)
            self.check_made(name, made)
        return made

    def package_of(self, name: str) -> str | None:
        """The package that brings a name, with its version; None of what is built in."""
        offers = [] if name in self._builtin else self.plugins_named(name)
        return next((p.package for p in offers if self.refusal(p) is None), None)

    def usable(self) -> Iterator[tuple[str, Any]]:
        """Name and object of all that can be used here; a plugin that cannot is switched off."""
        for name in self.names():
            with suppress(MissingExtraError), self.guard(name):
                yield name, self.resolve(name)

    def check_made(self, name: str, made: object) -> None:
        """Check that what a plugin made is what the interface says.

        Raises:
            TypeError: It lacks a member.
        """
        if self.makes is not None and self.is_plugin(name):
            check(made, self.makes, self.capabilities)

    @contextmanager
    def guard(self, name: str) -> Iterator[None]:
        """Where a plugin is called without having been asked for: one that fails is switched off.

        What built-in parts raise passes.
        """
        try:
            yield
        except Exception as error:
            if name in self._builtin:
                raise
            self.switch_off(name, error)

    @contextmanager
    def named(self, name: str) -> Iterator[None]:
        """Where a plugin that the user has named is called.

        What built-in parts raise passes, and so do errors of ours.

        Raises:
            PluginError: It failed.
        """
        try:
            yield
        except Exception as error:
            if name in self._builtin or isinstance(error, NanoAccelError):
                raise
            raise PluginError(
                f"{self.noun} {name!r} failed with {in_words(error)}",
                "Update or remove its package, or choose another one",
                part=f"{self.noun} {name!r}",
            ) from error

    def switch_off(self, name: str, error: BaseException) -> None:
        """Use a plugin no longer in this process, and say so in one line.

        Args:
            name: Name of the plugin.
            error: What it failed with.
        """
        if name in self._failed:
            return
        self._failed[name] = f"it failed with {in_words(error)}"
        problem = (
            error.problem
            if isinstance(error, PluginError)
            else (f"{self.noun} {name!r} failed with {in_words(error)}")
        )
        _log.warning("%s. It is switched off until the process ends", problem)
        _log.debug("what it failed with", exc_info=error)

    def installed(self, names: Sequence[str]) -> list[str]:
        """Those of some names that can be used here, in the same order.

        Args:
            names: One or more.

        Raises:
            ConfigError: Nobody offers one of them.
            MissingExtraError: What the first one needs is not installed, nor that of any other.
        """
        found: list[str] = []
        for name in names:
            with suppress(MissingExtraError):
                self.resolve(name)
                found.append(name)
        if not found:
            self.resolve(names[0])
        return found

    def first_installed(self, names: Sequence[str]) -> str:
        """The first of some names that can be used here; those behind it are not even imported.

        Args:
            names: One or more.

        Raises:
            NanoAccelError: As ``installed``.
        """
        for name in names:
            with suppress(MissingExtraError):
                self.resolve(name)
                return name
        self.resolve(names[0])
        raise AssertionError("it is not installed")


def check(found: object, interface: str, optional: Sequence[str]) -> None:
    """Check that an object, or what a class makes, has the members of a protocol.

    Args:
        found: The object or class.
        interface: "module:attribute" of the protocol.
        optional: Members that need not be there.

    Raises:
        TypeError: It lacks one.
    """
    protocol = _protocol(interface)
    if "__call__" in vars(protocol) and not callable(found):
        raise TypeError(f"{found!r:.80} cannot be called")
    missing = [
        name
        for name in _members(protocol, of_class=isinstance(found, type))
        if name not in optional and not hasattr(found, name)
    ]
    if missing:
        raise TypeError(f"it lacks {', '.join(missing)} of {protocol.__name__}")


def in_words(error: BaseException) -> str:
    """An error in one line, with its kind unless it is ours."""
    line = " ".join(str(error).split())
    return line if isinstance(error, NanoAccelError) else f"{type(error).__name__}: {line}"


def _protocol(reference: str) -> Any:
    module, attribute = reference.split(":")
    return getattr(import_module(module), attribute)


def _members(protocol: Any, *, of_class: bool) -> list[str]:
    """Public members of a protocol; of a class only methods, as others are set when it is made."""
    return [
        name
        for kind in protocol.__mro__[:-1]
        for name, value in vars(kind).items()
        if not name.startswith("_")
        and (callable(value) or (isinstance(value, property) and not of_class))
    ]
