"""What the operators of a session take, as ONNX Runtime writes it down."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import onnxruntime as ort

from nanoaccel.runtime.backends.base import OperatorTime, OperatorWork
from nanoaccel.runtime.backends.layers import layers_of
from nanoaccel.runtime.backends.onnxruntime.binding import Binding, BoundPass
from nanoaccel.runtime.backends.onnxruntime.block_graph import BlockGraph
from nanoaccel.runtime.backends.onnxruntime.embedding import looked_up_bytes
from nanoaccel.runtime.backends.onnxruntime.operators.work import work_of

_KERNEL = "_kernel_time"
_PASS = "model_run"


class OperatorTimes:
    """Times by section, out of the trace that a session writes into a folder of its own.

    The folder goes with ``close``, or with this.

    Args:
        graph: The file that the session reads.
        rewritten: The graph with NanoAccel's operators, as the session has it; None without them.

    Attributes:
        prefix: Where the session writes.
        looked_up_bytes: As ``OperatorTimer``.
    """

    def __init__(self, graph: Path, rewritten: bytes | None = None) -> None:
        folder = tempfile.mkdtemp(prefix="nanoaccel-profile-")
        self._clean = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.prefix = Path(folder) / "trace"
        self._session: ort.InferenceSession | None = None
        self._passes = 0
        self._begins: list[int] = []
        self.looked_up_bytes = looked_up_bytes(graph)
        self._work = {} if rewritten is None else work_of(rewritten)

    def watch(self, runner: Binding | BlockGraph, session: ort.InferenceSession) -> None:
        """Count the passes of a session from now on."""
        self._session = session
        run: Callable[..., Any] = runner.run  # which every pass goes through

        def counted(bound: BoundPass | ort.IOBinding) -> Any:
            self._passes += 1
            return run(bound)

        runner.run = counted  # type: ignore[method-assign]

    def begin_section(self) -> None:
        """As ``OperatorTimer``."""
        self._begins.append(self._passes)

    def sections(self) -> list[list[OperatorTime]]:
        """As ``OperatorTimer.operator_times``."""
        assert self._session is not None, "nothing was run"
        with open(self._end(self._session), encoding="utf-8") as file:
            events = json.load(file)
        passes = _passes(events)
        bounds = [*self._begins, len(passes)]
        return [
            _added([kernel for one in passes[begin:end] for kernel in one], self._work)
            for begin, end in pairwise(bounds)
            if end > begin
        ]

    def close(self) -> None:
        """Stop writing, and remove what was written."""
        if self._session is not None:
            self._end(self._session)
        self._clean()

    def _end(self, session: ort.InferenceSession) -> str:
        self._session = None
        return str(session.end_profiling())


def _passes(events: list[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The kernels of each pass, in the order in which they ran."""
    runs = sorted((event for event in events if event["name"] == _PASS), key=_begin)
    kernels = sorted((event for event in events if event["name"].endswith(_KERNEL)), key=_begin)
    found: list[list[Mapping[str, Any]]] = [[] for _ in runs]
    index = 0
    for kernel in kernels:
        while index + 1 < len(runs) and _begin(kernel) >= _begin(runs[index + 1]):
            index += 1
        if runs:
            found[index].append(kernel)
    return found


def _begin(event: Mapping[str, Any]) -> int:
    return int(event["ts"])


def _added(
    kernels: list[Mapping[str, Any]], work: Mapping[str, OperatorWork]
) -> list[OperatorTime]:
    """Each operator once, with its time in all passes."""
    seconds: dict[str, float] = {}
    calls: dict[str, int] = {}
    kinds: dict[str, str] = {}
    for kernel in kernels:
        name = kernel["name"].removesuffix(_KERNEL)
        kinds[name] = str(kernel["args"].get("op_name", "?"))
        seconds[name] = seconds.get(name, 0.0) + kernel["dur"] / 1e6
        calls[name] = calls.get(name, 0) + 1
    layers = layers_of(seconds)
    return [
        OperatorTime(name, kinds[name], layer, seconds[name], calls[name], work.get(name))
        for name, layer in zip(seconds, layers, strict=True)
    ]
