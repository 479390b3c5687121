"""Asks a bundle in the making through the engine that will run it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from nanoaccel.bundle import Bundle
from nanoaccel.calibration.probes import STEP_TOKENS, Answer, Probes
from nanoaccel.errors import GenerationError
from nanoaccel.runtime.batch import OutputCollector
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.engine.client import InProcessClient
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.types.outputs import RequestOutput

_LIKELIEST = 20
_FORCE = 1e6  # of the token that is to be written; log-probabilities are the model's all the same


def ask_engine(
    folder: Path, runtime: str, graph: Path, probes: Probes, group: int | None
) -> list[Answer]:
    """Run probes through scheduler, packing, cache, backend and sampler: all at once, then alone.

    Args:
        folder: Of the bundle in the making; its tokenizer is there.
        runtime: Name of the backend.
        graph: The file of the graph for it.
        probes: What to ask.
        group: Weights that share a scale; None without groups.

    Raises:
        NanoAccelError: The graph cannot be run.
    """
    length = len(probes.tokens)
    bundle = Bundle(folder, runtime, graph, folder, length, group, None)
    config = EngineConfig(
        precision="f32",
        quantization_group=0,
        max_step_tokens=STEP_TOKENS,
        max_running=len(probes.requests),
        prefix_cache=False,
        speculation="off",
        tuned=False,
    )
    session = InProcessClient(bundle, backend=runtime, config=config, on_event=None)
    try:
        everyone = range(len(probes.requests))
        answers = _ask(session, probes, everyone)
        for probe in {everyone[0], everyone[-1]} if len(everyone) > 1 else set():
            answers += _ask(session, probes, [probe])
    finally:
        session.close()
    return answers


def _ask(session: InProcessClient, probes: Probes, which: Sequence[int]) -> list[Answer]:
    """Run some of the requests together."""
    prepared = []
    for number in which:
        probe = probes.requests[number]
        params = SamplingParams(
            max_tokens=probes.written,
            ignore_eos=True,
            logprobs=_LIKELIEST,
            logit_bias={probe.token: _FORCE},
        )
        prompt = probes.tokens[: probe.length].tolist()
        prepared.append(session.prepare(prompt, params, None))
    ended = threading.Event()
    batch = OutputCollector(prepared, ended.set)
    batch.submit()
    ended.wait()
    return [
        answer
        for number, output in zip(which, batch.outputs(), strict=True)
        for answer in _answers(number, output, probes.written)
    ]


def _answers(number: int, output: RequestOutput, written: int) -> list[Answer]:
    if output.finish_reason == "error" or len(output.token_ids) != written:
        raise GenerationError(
            f"a request of {len(output.prompt_token_ids)} tokens ended with "
            f"{output.finish_reason!r} after {len(output.token_ids)} of {written} tokens: "
            f"{output.error}"
        )
    return [
        Answer(number, step, [(token, found.logprob), *found.top])
        for step, (token, found) in enumerate(zip(output.token_ids, output.logprobs, strict=True))
    ]
