"""The module and the test of a new backend, and of new routes of the server."""

from __future__ import annotations

BACKEND = '''\
"""A backend: loads the graph of a bundle and runs passes of the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nanoaccel.registry import BackendFacts
from nanoaccel.runtime.backends import Backend, BackendInfo, BackendOptions
from nanoaccel.runtime.types.plan import StepPlan, StepResult

# Known before the runtime is imported: what it runs on, and the graph that it reads.
FACTS = BackendFacts(packages=("onnxruntime",), graph="onnx/model.onnx")


def $FUNCTION(options: BackendOptions) -> $CLASS:
    """Load a graph."""
    from nanoaccel.runtime.backends.onnxruntime import load

    return $CLASS(load(options))


class $CLASS:
    """Has ONNX Runtime compute everything. Put your own runtime in its place."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner

    @property
    def info(self) -> BackendInfo:
        """What it is and can: the engine asks this, and never which backend it has."""
        return replace(self._inner.info, name="$NAME")

    def allocate_cache(self, num_blocks: int) -> None:
        """Allocate the cache, once."""
        self._inner.allocate_cache(num_blocks)

    def forward(self, plan: StepPlan) -> StepResult:
        """Compute a pass over any mix of sequences; see ``StepPlan``."""
        return self._inner.forward(plan)

    @property
    def block_bytes(self) -> int:
        """Bytes of the content of a block."""
        return self._inner.block_bytes

    def read_block(self, block: int, out: NDArray[np.uint8]) -> None:
        """Copy the content of a block out of the cache."""
        self._inner.read_block(block, out)

    def write_block(self, block: int, data: NDArray[np.uint8]) -> None:
        """Replace the content of a block."""
        self._inner.write_block(block, data)

    def close(self) -> None:
        """Free the graph and the cache; the second time is fine."""
        self._inner.close()
'''

BACKEND_TEST = """\


@pytest.fixture(scope="module")
def nanoaccel_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny", runtime="onnx")
"""

BACKEND_ENTRIES = """

[project.entry-points."nanoaccel.backend_facts.v1"]
$NAME = "$MODULE:FACTS"
"""

SERVER_ROUTE = '''\
"""Routes of the server, below /plugins/$NAME."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from nanoaccel.server.plugged import ServedModels


def $FUNCTION(models: ServedModels) -> Sequence[BaseRoute]:
    """Routes; the one that is here counts the tokens of a text."""

    async def tokens(request: Request) -> Response:
        text = request.query_params.get("text", "")
        async with models.use(request.query_params.get("model")) as model:
            return JSONResponse({"tokens": len(model.tokenizer.encode(text))})

    return [Route("/tokens", tokens)]
'''

SERVER_ROUTE_TEST = """\
from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from $MODULE import $FUNCTION
from starlette.requests import Request
from starlette.routing import Route

from nanoaccel.testing.engines import letter_tokenizer


class Models:
    def __init__(self, folder: Path) -> None:
        self.tokenizer = letter_tokenizer(folder)

    @asynccontextmanager
    async def use(self, name: str | None = None) -> AsyncIterator[Any]:
        yield SimpleNamespace(tokenizer=self.tokenizer)


def test_route_counts_tokens(tmp_path: Path) -> None:
    (route,) = $FUNCTION(Models(tmp_path))
    assert isinstance(route, Route)
    scope = {"type": "http", "method": "GET", "path": route.path, "headers": []}
    asked = Request({**scope, "query_string": b"text=tide"})
    answer = asyncio.run(route.endpoint(asked))
    assert json.loads(answer.body) == {"tokens": 4}
"""
