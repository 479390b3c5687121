"""Routes that plugins add."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from support.plugins import Install
from support.servers import serving

ROUTES = """
from starlette.responses import JSONResponse
from starlette.routing import Route

def routes(models):
    async def show(request):
        async with models.use() as client:
            return JSONResponse({"tokens": len(client.tokenizer.encode("tide"))})
    async def fail(request):
        raise OSError("gone")
    return [Route("/show", show), Route("/fail", fail)]

def broken(models):
    return [7]
"""


def test_plugin_serves_below_its_name_and_behind_the_key(
    letters: Path, install_plugin: Install, caplog: pytest.LogCaptureFixture
) -> None:
    points = {"mine": "routes", "broken": "broken"}
    install_plugin("more-routes", {"server_routes.v1": points}, ROUTES)
    with caplog.at_level(logging.WARNING, "nanoaccel"), serving(letters, api_keys=("k",)) as served:
        key = {"authorization": "Bearer k"}
        assert served.get("/plugins/mine/show").status == 401
        assert served.get("/plugins/mine/show", **key).json == {"tokens": 4}
        assert served.get("/plugins/mine/fail", **key).status == 500
        assert served.get("/plugins/broken/x", **key).status == 404
        assert served.get("/health").status == 200
    assert "server route 'broken' failed with TypeError" in caplog.text
