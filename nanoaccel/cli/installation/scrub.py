"""Takes out of a text what is nobody else's business: folders, names, hosts, keys."""

from __future__ import annotations

import getpass
import json
import platform
import re
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
_KEYS = re.compile(
    r"\b(?:hf_|sk-|ghp_|gho_|github_pat_|glpat-|xox[abp]-|AKIA|AIza)[\w-]{8,}"
    r"|\b[Bb]earer\s+\S+"
    r"|\beyJ[\w-]{8,}\.[\w.-]+"
    r"|://[^/\s:@]+:[^/\s@]+@"
)
_SHORTEST = 4


class Scrubber:
    """Replaces what tells of a user, by what it is.

    Args:
        secrets: Texts that must not be seen, beside those that the environment holds.
        environment: Variables; those whose names speak of keys hold secrets.
    """

    def __init__(self, secrets: Iterable[str], environment: Mapping[str, str]) -> None:
        hidden = {
            part
            for name, value in environment.items()
            if _SECRET_NAME.search(name)
            for part in (value, *value.split())
        }
        self._literals = _variants({*secrets, *hidden}, "<secret>", _SHORTEST)
        self._literals += _variants(_homes(environment), "~", 2)
        self._words = [
            *((name, "<user>") for name in _users(environment)),
            *((name, "<host>") for name in _hosts(environment)),
        ]

    def scrub(self, text: str) -> str:
        """The text without them."""
        for literal, instead in self._literals:
            text = text.replace(literal, instead)
        text = _KEYS.sub("<secret>", text)
        for word, instead in self._words:
            # An underscore parts names too, but not those of variables and packages.
            text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", instead, text, flags=re.I)
        return text


def _variants(texts: Iterable[str], instead: str, shortest: int) -> list[tuple[str, str]]:
    """Texts as they are and as JSON writes them, the longest first."""
    written = set()
    for text in texts:
        if len(text) >= shortest:
            written |= {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return [(text, instead) for text in sorted(written, key=len, reverse=True)]


def _homes(environment: Mapping[str, str]) -> set[str]:
    found = {environment.get(name, "") for name in ("HOME", "USERPROFILE")}
    with suppress(RuntimeError):
        found.add(str(Path.home()))
    with suppress(OSError, RuntimeError):
        found |= {str(Path(home).resolve()) for home in found if home}
    return {home.rstrip("/\\") for home in found}


def _users(environment: Mapping[str, str]) -> set[str]:
    found = {environment.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER")}
    found |= {Path(home).name for home in _homes(environment)}
    with suppress(Exception):  # KeyError, OSError, ImportError: it differs by version and system
        found.add(getpass.getuser())
    return {name for name in found if name}


def _hosts(environment: Mapping[str, str]) -> set[str]:
    found = {environment.get(name, "") for name in ("HOSTNAME", "COMPUTERNAME")}
    found |= {socket.gethostname(), platform.node()}
    found |= {name.partition(".")[0] for name in found}
    return {name for name in found if len(name) > 1 and name.lower() != "localhost"}
