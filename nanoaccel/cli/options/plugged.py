"""What plugins add to the values of an option, for its help."""

from __future__ import annotations

from nanoaccel.errors import ConfigError
from nanoaccel.registry import ExtensionPoint


def plugged_names(point: ExtensionPoint, suffix: str = "") -> str:
    """A sentence that names what plugins add; empty where they add nothing.

    Args:
        point: Where they add it.
        suffix: Text behind each name.
    """
    try:
        names = [name for name in point.names() if point.is_plugin(name)]
    except ConfigError:
        return ""  # the command itself says which nanoaccel.toml cannot be read
    return f" Of plugins: {', '.join(f'{name}{suffix}' for name in names)}." if names else ""
