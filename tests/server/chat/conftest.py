"""Servers whose model says what it is told, in the form of a family."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.echo_llms import EchoBackend, write_echo
from support.servers import Served, serving

from nanoaccel import registry

ServeEcho = Callable[..., Served]


@pytest.fixture
def serve_echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServeEcho]:
    """Serves such a model: ``serve_echo(family, marks, opening=..., **options of the server)``."""
    monkeypatch.setattr(registry.BACKENDS, "resolve", lambda _: EchoBackend)
    with ExitStack() as stack:

        def serve(
            family: str, marks: Sequence[str] = (), *, opening: str = "", **options: Any
        ) -> Served:
            bundle = write_echo(tmp_path / "echo", family, marks, opening=opening)
            return stack.enter_context(serving(bundle, **options))

        yield serve
