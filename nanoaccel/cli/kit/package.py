"""Writes the package of a new plugin."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from nanoaccel.cli.kit import export_sources, serving_sources, sources
from nanoaccel.errors import ConfigError
from nanoaccel.registry import (
    ADAPTER_METHODS,
    BACKENDS,
    CALIBRATION_SOURCES,
    COMMANDS,
    COMPRESSION_METHODS,
    DRAFTERS,
    EVENT_LISTENERS,
    EVICTION_POLICIES,
    EXPORT_TARGETS,
    GRAMMARS,
    LOGITS_PROCESSORS,
    MODEL_SOURCES,
    SERVER_ROUTES,
    ExtensionPoint,
    did_you_mean,
)

_WRITES = "from nanoaccel.testing.tiny_models import write_model\n"
_BUNDLES = "from nanoaccel.testing.tiny_models import write_bundle\n"
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
        function: Whether the entry point names a function, and not a class.
        entries: More entry points of the package.
        extras: Extras of NanoAccel that its tests need.
    """

    point: ExtensionPoint
    source: str
    test: str
    use: str
    suite: str = ""
    function: bool = False
    entries: str = ""
    extras: str = "testing"


_EXPORT = "export,testing"
_MODEL_TEST = (
    sources.CONTRACT_TEST.replace(
        "import pytest", "from collections.abc import Iterator\n\nimport pytest"
    )
    .replace("import $TARGET\n", "import FOLDER, $TARGET\n")
    .replace("import $SUITE  # noqa: F401\n", f"import $SUITE  # noqa: F401\n{_WRITES}")
    + export_sources.MODEL_TEST
)
_BACKEND_TEST = (
    sources.CONTRACT_TEST.replace(
        "import pytest", "from pathlib import Path\n\nimport pytest"
    ).replace("import $SUITE  # noqa: F401\n", "import $SUITE  # noqa: F401\n" + _BUNDLES)
    + serving_sources.BACKEND_TEST
)

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
    "grammar": Kind(
        GRAMMARS,
        sources.GRAMMAR,
        sources.CONTRACT_TEST + export_sources.REFERENCE_TEST,
        'A request asks for it: `SamplingParams(grammar=Grammar("$NAME", "yes, no"))`.',
        "TestGrammar",
        extras="grammar,testing",
    ),
    "compression_method": Kind(
        COMPRESSION_METHODS,
        export_sources.COMPRESSION_METHOD,
        sources.CONTRACT_TEST,
        "`nanoaccel export MODEL OUT --method $NAME` uses it.",
        "TestCompressionMethod",
        extras=_EXPORT,
    ),
    "calibration_source": Kind(
        CALIBRATION_SOURCES,
        export_sources.CALIBRATION_SOURCE,
        sources.CONTRACT_TEST,
        "`nanoaccel export MODEL OUT --calibration $NAME:WHICH` reads it.",
        "TestCalibrationSource",
        function=True,
    ),
    "model_source": Kind(
        MODEL_SOURCES,
        export_sources.MODEL_SOURCE,
        _MODEL_TEST,
        "`nanoaccel export $NAME:WHICH OUT` exports one of its models.",
        "TestModelSource",
        function=True,
        extras=_EXPORT,
    ),
    "export_target": Kind(
        EXPORT_TARGETS,
        export_sources.EXPORT_TARGET,
        export_sources.TARGET_TEST,
        "`nanoaccel export MODEL OUT --runtime $NAME` makes its graph. Once the package is "
        "installed, `pytest --nanoaccel-contract export_target $MODULE:$CLASS` exports with it.",
        entries=export_sources.TARGET_ENTRIES,
        extras=_EXPORT,
    ),
    "adapter_method": Kind(
        ADAPTER_METHODS,
        export_sources.ADAPTER_METHOD,
        sources.CONTRACT_TEST,
        "`nanoaccel finetune MODEL DATA OUT --method $NAME` learns by it.",
        "TestAdapterMethod",
        extras="finetune,testing",
    ),
    "backend": Kind(
        BACKENDS,
        serving_sources.BACKEND,
        _BACKEND_TEST,
        "`nanoaccel generate BUNDLE PROMPT --backend $NAME` runs a bundle on it.",
        "TestBackend",
        function=True,
        entries=serving_sources.BACKEND_ENTRIES,
        extras=_EXPORT,
    ),
    "event_listener": Kind(
        EVENT_LISTENERS,
        sources.EVENT_LISTENER,
        sources.LISTENER_TEST,
        "Every `LLM` makes one and tells it what happens.",
    ),
    "command": Kind(
        COMMANDS,
        sources.COMMAND,
        sources.COMMAND_TEST,
        "`nanoaccel $NAME BUNDLE` runs it.",
        function=True,
    ),
    "server_route": Kind(
        SERVER_ROUTES,
        serving_sources.SERVER_ROUTE,
        serving_sources.SERVER_ROUTE_TEST,
        "`nanoaccel serve BUNDLE` answers `/plugins/$NAME/tokens?text=tide`.",
        function=True,
        extras="server,testing",
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
        "TARGET": function if made.function else class_name,
        "VARIABLE": f"{function.upper()}_MODELS",
        "EXTRAS": made.extras,
        "PACKAGE": f"nanoaccel-{name.replace('_', '-')}",
        "MODULE": f"nanoaccel_{function}",
        "GROUP": made.point.group,
        "KIND": kind,
        "NOUN": made.point.noun,
        "SUITE": made.suite,
    }
    more = {"USE": made.use, "ENTRIES": made.entries.rstrip("\n")}
    return {**words, **{name: Template(text).substitute(words) for name, text in more.items()}}
