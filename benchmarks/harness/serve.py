"""What runs in a worker's process: opens an engine and answers calls until its input ends."""

from __future__ import annotations

import json
import os
import sys

from benchmarks.harness.adapters import open_adapter


def serve(adapter: str, folder: str, options: str) -> None:
    """Answer lines of JSON ``[method, argument, ...]`` with what the method gives.

    Args:
        adapter: A key of ``ADAPTERS``.
        folder: What the engine opens.
        options: Of the engine, in JSON.
    """
    answers = os.dup(1)
    os.dup2(2, 1)  # what an engine prints is no answer
    engine = open_adapter(adapter, folder, json.loads(options))
    with os.fdopen(answers, "w") as out:
        for line in sys.stdin:
            method, *arguments = json.loads(line)
            print(json.dumps(getattr(engine, method)(*arguments)), file=out, flush=True)
    engine.close()


if __name__ == "__main__":
    serve(*sys.argv[1:])
