"""What users set once for all: one table, and one order in which its values are looked for."""

from nanoaccel.settings.resolve import Found, Origin, Resolved, check_argument, resolve, setting
from nanoaccel.settings.table import SETTINGS, Setting

__all__ = [
    "SETTINGS",
    "Found",
    "Origin",
    "Resolved",
    "Setting",
    "check_argument",
    "resolve",
    "setting",
]
