"""Writes the package of a new plugin."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from nanoaccel.cli.kit import sources
from nanoaccel.errors import ConfigError
from nanoaccel.registry import (
    COMMANDS,
    DRAFTERS,
    EVENT_LISTENERS,
    EVICTION_POLICIES,
    LOGITS_PROCESSORS,
    ExtensionPoint,
    did_you_mean,
)

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is written for a kind of plugin.

    Args:
        point: Its extension point.
        source: Its module.
        test: Its test.
        use: How it is used, for people.
        suite: Name of its contract suite, if there is one.
    """

    point: ExtensionPoint
    source: str
    test: str
    use: str
    suite: str = ""


KINDS = {
    "drafter": Kind(
        DRAFTERS,
        sources.DRAFTER,
        sources.CONTRACT_TEST,
        'It takes part by itself; `LLM("bundle", speculation="$NAME")` uses it alone.',
        "TestDrafter",
    ),
    "eviction_policy": Kind(
        EVICTION_POLICIES,
        sources.EVICTION_POLICY,
        sources.CONTRACT_TEST,
        '`LLM("bundle", eviction_policy="$NAME")` uses it.',
        "TestEvictionPolicy",
    ),
    "logits_processor": Kind(
        LOGITS_PROCESSORS,
        sources.LOGITS_PROCESSOR,
        sources.CONTRACT_TEST,
        'A request asks for it: `SamplingParams(processors={"$NAME": {"token": 3}})`.',
        "TestLogitsProcessor",
    ),
    "event_listener": Kind(
        EVENT_LISTENERS,
        sources.EVENT_LISTENER,
        sources.LISTENER_TEST,
        "Every `LLM` makes one and tells it what happens.",
    ),
    "command": Kind(
        COMMANDS, sources.COMMAND, sources.COMMAND_TEST, "`nanoaccel $NAME BUNDLE` runs it."
    ),
}


def write_package(kind: str, name: str, folder: Path) -> Path:
    """Write a package that installs, with a test that passes.

    Args:
        kind: One of ``KINDS``; hyphens are as good as underscores.
        name: Name that users will write.
        folder: Where the package's folder is made.

    Returns:
        The package's folder.

    Raises:
        ConfigError: The kind or the name is none, or the folder exists.
    """
    kind = kind.replace("-", "_")
    if kind not in KINDS:
        raise ConfigError(f"{kind!r} is no kind of plugin", did_you_mean(kind, list(KINDS)))
    if _NAME.fullmatch(name) is None or keyword.iskeyword(name):
        raise ConfigError(
            f"the name {name!r} cannot be one of a plugin", "Write it in small letters, as my-rule"
        )
    if name in KINDS[kind].point.names():
        raise ConfigError(f"there is a {KINDS[kind].point.noun} {name!r}", "Choose another name")
    words = _words(kind, name)
    package = folder / words["PACKAGE"]
    if package.exists():
        raise ConfigError(f"{package} exists", "Choose another name, or remove it")
    made = KINDS[kind]
    module = Path("src", words["MODULE"])
    files = {
        Path("pyproject.toml"): sources.PYPROJECT,
        Path("README.md"): sources.README,
        module / "__init__.py": made.source,
        module / "py.typed": "",
        Path("tests", f"test_{words['MODULE']}.py"): made.test,
    }
    for path, text in files.items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text(Template(text).substitute(words), encoding="utf-8")
    return package


def _words(kind: str, name: str) -> dict[str, str]:
    """What stands for each word of the templates."""
    made = KINDS[kind]
    function = name.replace("-", "_")
    class_name = "".join(word.capitalize() for word in function.split("_"))
    words = {
        "NAME": name,
        "CLASS": class_name,
        "FUNCTION": function,
        "TARGET": function if kind == "command" else class_name,
        "PACKAGE": f"nanoaccel-{name.replace('_', '-')}",
        "MODULE": f"nanoaccel_{function}",
        "GROUP": made.point.group,
        "KIND": kind,
        "NOUN": made.point.noun,
        "SUITE": made.suite,
    }
    return {**words, "USE": Template(made.use).substitute(words)}
