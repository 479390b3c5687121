"""Plugins that the user has switched off."""

from __future__ import annotations

import os
from typing import cast

from nanoaccel.closest import did_you_mean
from nanoaccel.errors import ConfigError
from nanoaccel.registry.plugin import all_plugins
from nanoaccel.settings import setting

VARIABLE = "NANOACCEL_DISABLE"


def disabled_plugins() -> frozenset[str]:
    """Names that ``NANOACCEL_DISABLE`` or, where that is not set, nanoaccel.toml disables.

    A name is that of a plugin, of its kind and it ("drafters/mine"), or of a package.

    Raises:
        ConfigError: A nanoaccel.toml cannot be read.
    """
    found = setting("disable")
    return frozenset() if found is None else frozenset(cast(tuple[str, ...], found.value))


def disable_plugins(names: list[str]) -> None:
    """Switch plugins off in this process and those that it starts, beside those that are.

    Args:
        names: As ``disabled_plugins`` gives them.

    Raises:
        ConfigError: A nanoaccel.toml cannot be read, or nothing of such a name is installed.
    """
    known = {name for plugin in all_plugins() for name in plugin.names}
    for name in names:
        if name not in known:
            remedy = did_you_mean(name, sorted(known)) if known else "No plugin is installed"
            raise ConfigError(f"there is no plugin {name!r} to disable", remedy)
    os.environ[VARIABLE] = ",".join(sorted({*disabled_plugins(), *names}))
