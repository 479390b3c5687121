"""Asks a bundle in the making through the engine that will run it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from nanoaccel.bundle import Bundle
from nanoaccel.calibration.probes import STEP_TOKENS, Answer, Probes
from nanoaccel.errors import GenerationError
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.engine.client import InProcessClient
from nanoaccel.runtime.sampling import SamplingParams
from nanoaccel.runtime.streams import OutputCollector
from nanoaccel.runtime.types.outputs import RequestOutput

_LIKELIEST = 20
_FORCE = 1e6  # of the token that is to be written; log-probabilities are the model's all the same


def ask_engine(
    folder: Path, runtime: str, graph: Path, probes: Probes, group: int | None
) -> list[Answer]:
    """Run probes through scheduler, packing, cache, backend and sampler: all at once, then alone.

    Args:
        folder: Folder of the bundle in the making; its tokenizer is there.
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
    client = InProcessClient(bundle, backend=runtime, config=config, on_event=None)
    try:
        everyone = range(len(probes.requests))
        answers = _ask(client, probes, everyone)
        for probe in {everyone[0], everyone[-1]} if len(everyone) > 1 else set():
            answers += _ask(client, probes, [probe])
    finally:
        client.close()
    return answers


def _ask(client: InProcessClient, probes: Probes, which: Sequence[int]) -> list[Answer]:
    """Run some of the requests together."""
    prompts, params = [], []
    for number in which:
        probe = probes.requests[number]
        asked = SamplingParams(
            max_tokens=probes.written,
            ignore_eos=True,
            logprobs=_LIKELIEST,
            logit_bias={probe.token: _FORCE},
        )
        params.append(asked)
        prompts.append(probes.tokens[: probe.length].tolist())
    ended = threading.Event()
    collector = OutputCollector(client, prompts, params, None, ended.set)
    collector.submit()
    ended.wait()
    outputs = cast(list[RequestOutput], collector.outputs())
    return [
        answer
        for number, output in zip(which, outputs, strict=True)
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
