"""The plugin of pytest: runs contract suites over what the command line names.

    pytest --nanoaccel-contract drafter my_package:Mine

Nothing of NanoAccel's is imported before that is asked for.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite(
    "nanoaccel.testing.contracts", "nanoaccel.testing.engines", "nanoaccel.testing.checked_cache"
)

_CONTRACTS = Path(__file__).parent / "contracts"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("nanoaccel")
    group.addoption(
        "--nanoaccel-contract",
        nargs=2,
        action="append",
        default=[],
        metavar=("KIND", "MODULE:NAME"),
        help=f"Run the contract suite of a kind of plugin over one: {', '.join(_kinds())}.",
    )
    group.addoption(
        "--nanoaccel-values",
        default="{}",
        metavar="JSON",
        help="What a request says of the logits processor: the values that it is made with.",
    )
    group.addoption(
        "--nanoaccel-reference",
        default="",
        metavar="TEXT",
        help="A source of the grammar, or what is written behind the name of a text or model.",
    )
    group.addoption(
        "--nanoaccel-bundle",
        metavar="FOLDER",
        help="A bundle that the backend can load; else a tiny one is exported.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Add the suites that are asked for to what is collected."""
    asked = {kind for kind, _ in config.getoption("nanoaccel_contract")}
    if not asked:
        return
    unknown = asked - set(_kinds())
    if unknown:
        raise pytest.UsageError(
            f"--nanoaccel-contract {unknown.pop()}: choose one of {', '.join(_kinds())}"
        )
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    suites = [str(_CONTRACTS / f"{kind}.py") for kind in sorted(asked)]
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    config.args[:] = [*(config.args if named else ()), *suites]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a suite what the command line names; a module that imports one has its own subject."""
    kind = getattr(metafunc.module, "CONTRACT", None)
    if kind is None or "subject" not in metafunc.fixturenames:
        return
    targets = [
        target for asked, target in metafunc.config.getoption("nanoaccel_contract") if asked == kind
    ]
    subjects = [_resolve(target) for target in targets]
    metafunc.parametrize("subject", subjects, ids=targets, scope="module")


@pytest.fixture(scope="module")
def nanoaccel_values(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The values that a logits processor is made with."""
    text = request.config.getoption("nanoaccel_values")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise pytest.UsageError(f"--nanoaccel-values {text}: write a JSON object")
    return found


@pytest.fixture(scope="module")
def nanoaccel_reference(request: pytest.FixtureRequest) -> str:
    """A source of a grammar, or what a source of text or models is told."""
    return str(request.config.getoption("nanoaccel_reference"))


@pytest.fixture(scope="module")
def nanoaccel_bundle(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The bundle that a backend loads."""
    named = request.config.getoption("nanoaccel_bundle")
    if named is not None:
        return Path(named)
    from nanoaccel.testing.tiny_models import write_bundle

    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def nanoaccel_drafter_options() -> Any:
    """What drafters are made with: no draft, and the vocabulary of the fake backend's letters."""
    from nanoaccel.runtime.speculation.drafters import DrafterOptions
    from nanoaccel.testing.engines import VOCAB_SIZE

    return DrafterOptions(vocab_size=VOCAB_SIZE)


def _kinds() -> list[str]:
    return sorted(path.stem for path in _CONTRACTS.glob("*.py") if path.stem != "__init__")


def _resolve(target: str) -> object:
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise pytest.UsageError(f"--nanoaccel-contract: {target}: {error}") from error
