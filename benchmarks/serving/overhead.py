"""What the server adds to the engine: to the time per token, and to the first token.

    python -m benchmarks.serving.overhead BUNDLE

The same prompts go to an engine in a process of its own, whose clock is inside it, and to a server
in another, whose clock is the client's; in turn, without speculation or prefix cache. Ratios and
differences are taken round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Iterable
from pathlib import Path

from benchmarks.harness.engines import PLAIN
from benchmarks.harness.figures import Quartiles, in_turn, table
from benchmarks.harness.machine import machine
from benchmarks.harness.prompts import encode_prompt, prompt_kinds, prompts_of
from benchmarks.harness.worker import Answer, Worker
from benchmarks.serving.client import Reply, ask
from benchmarks.serving.process import ServerProcess
from nanoaccel.bundle import Bundle
from nanoaccel.text import Tokenizer

STREAMS = 16
_PROMPT = 64
ENGINE, SERVER = "engine", "server"
_SERVE = ("--speculation", "off", "--replicas", 1, "--no-prefix-cache")


async def stream_all(port: int, prompts: list[list[int]], max_tokens: int) -> Answer:
    """Stream completions at once, as ``Worker.generate`` gives them."""
    bodies = [
        {
            "prompt": prompt,
            "max_tokens": max_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        for prompt in prompts
    ]
    replies = await asyncio.gather(*(ask(port, "/v1/completions", body) for body in bodies))
    first = max(_first(reply) - reply.sent for reply in replies)
    total = max(reply.ended - reply.sent for reply in replies)
    tokens = sum(reply.objects[-1]["usage"]["completion_tokens"] for reply in replies)
    return Answer(first, total, tokens)


def _first(reply: Reply) -> float:
    assert reply.status == 200, reply.events
    return reply.times[0]


def per_token(answer: Answer, streams: int) -> float:
    """Seconds between two tokens of a stream."""
    return (answer.total - answer.first) / (answer.tokens / streams - 1)


def compare(
    worker: Worker, port: int, prompts: list[list[int]], max_tokens: int, rounds: int
) -> list[dict[str, Answer]]:
    """The answers of both, round by round."""
    ways = {
        ENGINE: lambda: worker.generate(prompts, max_tokens),
        SERVER: lambda: asyncio.run(stream_all(port, prompts, max_tokens)),
    }
    return [{way: ways[way]() for way in in_turn(ways, turn)} for turn in range(rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--backend", default="auto")
    arguments = parser.parse_args()
    tokenizer = Tokenizer.load(Bundle.open(arguments.bundle).tokenizer_folder)
    texts = [text for kind in prompt_kinds() for text in prompts_of(kind)[: STREAMS // 8]]
    prompts = [encode_prompt(tokenizer, text)[:_PROMPT] for text in texts]
    options = {**PLAIN, "replicas": 1, "backend": arguments.backend}
    serve = (*_SERVE, "--backend", arguments.backend)
    with (
        Worker("nanoaccel", arguments.bundle, options) as worker,
        ServerProcess(arguments.bundle, serve) as server,
    ):
        compare(worker, server.port, prompts, 8, 2)
        many = compare(worker, server.port, prompts, arguments.tokens, arguments.rounds)
        one = compare(worker, server.port, prompts[:1], 2, 5 * arguments.rounds)
    ratios = [per_token(r[SERVER], STREAMS) / per_token(r[ENGINE], STREAMS) for r in many]
    extra = [1e3 * (r[SERVER].first - r[ENGINE].first) for r in one]
    print(f"{machine()}; medians, and what half of the rounds lie between\n")
    rows = [
        (f"time per token at {STREAMS} streams, server / engine", Quartiles.of(ratios).show(3)),
        ("the same in the engine, ms", _ms(per_token(r[ENGINE], STREAMS) for r in many)),
        ("first token of one request, server - engine, ms", Quartiles.of(extra).show(2)),
        ("the same in the engine, ms", _ms(r[ENGINE].first for r in one)),
    ]
    print(table(["", ""], rows))


def _ms(seconds: Iterable[float]) -> str:
    return f"{1e3 * statistics.median(seconds):.2f}"


if __name__ == "__main__":
    main()
