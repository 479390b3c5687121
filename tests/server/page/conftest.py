"""A browser in front of a scripted server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.scripted_server import ScriptedServer

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def served() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(served: ScriptedServer) -> Iterator[ScriptedServer]:
    """A server that remembers nothing of other tests."""
    yield served
    served.forget()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for one file: while playwright runs, its thread has a loop of asyncio."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as started:
        found = [path for path in map(shutil.which, BROWSERS) if path is not None]
        found += [path for path in (started.chromium.executable_path,) if Path(path).exists()]
        if not found:
            pytest.skip("THE PAGE IS NOT TESTED: no Chromium. Debian: apt install -y chromium")
        flags = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
        opened = started.chromium.launch(executable_path=found[0], args=flags)
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Any, server: ScriptedServer) -> Iterator[Any]:
    """A browser that knows nothing; no page of it may ask another host, or throw."""
    opened = browser.new_context(viewport={"width": 1100, "height": 800})
    opened.set_default_timeout(20_000)
    urls: list[str] = []
    errors: list[str] = []
    opened.on("request", lambda request: urls.append(request.url))
    opened.on("weberror", lambda error: errors.append(str(error.error)))
    yield opened
    opened.close()
    assert [url for url in urls if not url.startswith((server.url, "blob:", "data:"))] == []
    assert errors == []


@pytest.fixture
def page(context: Any, server: ScriptedServer) -> Any:
    """The page, with its models loaded."""
    opened = context.new_page()
    opened.goto(server.url)
    opened.locator("#model option").first.wait_for(state="attached")
    return opened
