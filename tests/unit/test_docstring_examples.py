"""The examples in docstrings of what users import."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_llms import WatchedBackend, write_bundle

import nanoaccel
from nanoaccel import registry
from nanoaccel.runtime import streams
from nanoaccel.runtime.engine import assembly
from nanoaccel.testing import engines

PUBLIC = {
    **{name: getattr(nanoaccel, name) for name in nanoaccel.__all__ if name != "__version__"},
    "Stream": streams.Stream,
    "AsyncStream": streams.AsyncStream,
    "Bench": engines.Bench,
}


def documented() -> Iterator[tuple[str, object]]:
    """What has an example of its own: each public name, and the public methods of classes."""
    for name, value in PUBLIC.items():
        yield name, value
        for part, member in vars(value).items() if inspect.isclass(value) else ():
            function = inspect.unwrap(getattr(member, "__func__", member))
            if not part.startswith("_") and inspect.isfunction(function) and name != "Bench":
                yield f"{name}.{part}", function


# An export takes torch: its example is run in tests/export.
EXAMPLES = dict(documented())
EXAMPLES.pop("export")


@pytest.fixture(autouse=True)
def _bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder "bundle" where the examples run, on the fake backend."""
    write_bundle(tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: WatchedBackend)
    monkeypatch.setattr(assembly, "measure_verification", lambda *_, **__: None)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_shows_what_it_says(name: str) -> None:
    found = doctest.DocTestFinder(recurse=False).find(EXAMPLES[name], name, globs={})
    examples = [one for one in found if one.examples]
    assert len(examples) == 1, f"{name} has no example"
    told: list[str] = []
    failures = doctest.DocTestRunner().run(examples[0], out=told.append)
    assert failures.failed == 0, "".join(told)
