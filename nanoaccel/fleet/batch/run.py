"""A batch on the nodes of a Ray cluster; the file of answers stays here."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError

from nanoaccel.batch.lines import Reply, Request
from nanoaccel.errors import NanoAccelError
from nanoaccel.fleet.batch.stage import AnswerBlocks, as_row
from nanoaccel.server.config import ServerConfig

_BLOCKS_AT_ONCE = 4
_CONNECT_SECONDS = 10.0
_log = logging.getLogger("nanoaccel.fleet")


def run_on_ray(
    address: str,
    unanswered: Callable[[], Iterable[Request]],
    config: ServerConfig,
    deliver: Callable[[Reply], None],
    *,
    at_once: int,
) -> None:
    """Answer requests by an engine on each node of a cluster.

    What a lost node had not delivered is answered by the others. Where the data set itself is
    lost, a new one is made of what is left, as long as each brings an answer.

    Args:
        address: Of the cluster, as ``ray.init`` takes it.
        unanswered: Gives the requests that have no answer yet.
        config: The bundle, which lies under the same path on each node, and how it runs.
        deliver: Takes each answer; a second one to the same request may come.
        at_once: Requests that an engine works on at once.

    Raises:
        NanoAccelError: There is no cluster, or its engines fail.
    """
    _connect(address)
    try:
        _quiet()
        _run(unanswered, config, deliver, max(1, at_once // _BLOCKS_AT_ONCE))
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdecimal():  # Ray itself tries for minutes
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False)
    except (OSError, OverflowError, RayError, RuntimeError, ValueError) as error:
        raise NanoAccelError(
            f"--ray {address}: there is no Ray cluster: {error}", "Start it with 'ray start'"
        ) from None


def _run(
    unanswered: Callable[[], Iterable[Request]],
    config: ServerConfig,
    deliver: Callable[[Reply], None],
    block: int,
) -> None:
    rows = _rows(unanswered(), deliver)
    while rows:
        try:
            for answer in _answers(rows, config, block):
                deliver(Reply.parse(answer))
        except RayError as error:
            left = _rows(unanswered(), deliver)
            if len(left) == len(rows):
                raise NanoAccelError(
                    f"the engines on the cluster fail: {_last_line(error)}",
                    "See their logs: 'ray logs'",
                ) from error
            _log.warning("goes on after: %s", _last_line(error))
        else:
            left = _rows(unanswered(), deliver)
            assert not left, "a data set lost rows"
        rows = left


def _rows(requests: Iterable[Request], deliver: Callable[[Reply], None]) -> list[dict[str, object]]:
    """What engines are asked; lines that are no requests are answered here."""
    rows = []
    for request in requests:
        if request.problem is None:
            rows.append(as_row(request))
        else:
            deliver(request.refusal(request.problem))
    return rows


def _answers(rows: list[dict[str, object]], config: ServerConfig, block: int) -> Iterable[bytes]:
    blocks = -(-len(rows) // block)
    nodes = [
        node
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"] and node["Resources"].get("CPU", 0) > 0
    ]
    answered = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        AnswerBlocks,
        fn_constructor_args=(config,),
        batch_size=None,
        batch_format="numpy",
        compute=ActorPoolStrategy(
            min_size=1,
            max_size=max(1, min(len(nodes), blocks)),
            initial_size=max(1, min(len(nodes), blocks)),
            max_tasks_in_flight_per_actor=_BLOCKS_AT_ONCE,
            max_concurrent_calls_per_actor=_BLOCKS_AT_ONCE,
        ),
        num_cpus=1,
        scheduling_strategy="SPREAD",
    )
    for row in answered.iter_rows():
        yield row["line"]


def _quiet() -> None:
    """The command shows its own progress."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)


def _last_line(error: BaseException) -> str:
    lines: list[Any] = [line.strip() for line in str(error).splitlines() if line.strip()]
    return str(lines[-1]) if lines else type(error).__name__
