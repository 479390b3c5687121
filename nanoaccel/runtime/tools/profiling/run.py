"""Opens a bundle, runs a prompt, and measures all that a profile tells."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanoaccel.bundle import Bundle, weights_size
from nanoaccel.errors import ConfigError, GenerationError
from nanoaccel.runtime.backends import BackendInfo
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.huge_pages import HugePages
from nanoaccel.runtime.engine.client import InProcessClient
from nanoaccel.runtime.execution.loader import open_backend, preferred
from nanoaccel.runtime.llm import LLM
from nanoaccel.runtime.sampling import SamplingParams, SamplingSettings
from nanoaccel.runtime.tools.profiling.cold_start import StartClock
from nanoaccel.runtime.tools.profiling.facts import MemoryUse, OperatorProfile, Profile, RunFacts
from nanoaccel.runtime.tools.profiling.machine_speed import measure_machine
from nanoaccel.runtime.tools.profiling.memory import resident_bytes
from nanoaccel.runtime.tools.profiling.operators import measure_operators
from nanoaccel.runtime.tools.profiling.profiler import Profiler

_SEED = 1
_WARM_UP_TOKENS = 4
_OPERATOR_OPTIONS = ("precision", "cache_precision")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileOptions:
    """What is run.

    Args:
        prompt_tokens: Tokens of a prompt of random tokens.
        tokens: Tokens that are generated behind it.
        imports: Seconds that importing this took, which is part of a cold start.
        machine_seconds: For each figure of the machine.

    Raises:
        ConfigError: A number is out of range.
    """

    prompt_tokens: int = 256
    tokens: int = 64
    imports: float = 0.0
    machine_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("prompt_tokens", 1), ("tokens", 2)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"{name}={value} is out of range", f"It must be {least} or more")


def profile_bundle(
    folder: Path,
    *,
    backend: str,
    options: ProfileOptions,
    arguments: dict[str, Any],
    listener: Callable[[str], None],
    closing: Callable[[LLM], AbstractContextManager[LLM]] = contextlib.closing,
) -> Profile:
    """Measure a bundle.

    It is opened twice: once as it is used, with the engine's phases timed; then with a graph that
    notes what its operators take, which slows it.

    Args:
        folder: The bundle.
        backend: Name of one, or "auto" for the one that an engine takes.
        options: What is run.
        arguments: Arguments of ``LLM``, but for the backend.
        listener: Called with what is done.
        closing: Closes the ``LLM`` at the end of a block.

    Raises:
        NanoAccelError: As ``LLM``; or a request failed, or does not fit the context.
    """
    before = resident_bytes()
    bundle = Bundle.open(folder)
    start = StartClock()
    start.add("import", options.imports)
    listener("open the bundle")
    with start.opening():
        llm = LLM(folder, backend=backend, replicas=1, **arguments)
    with closing(llm):
        listener("run a prompt")
        first, run = _run(llm, options)
        info = llm.backend
        runtime = _registered(info.name, bundle) if backend == "auto" else backend
        total = resident_bytes()
    start.add("first pass", first)
    token_bytes = info.bytes_per_block // info.block_size
    listener("time the operators")
    named = {name: arguments[name] for name in _OPERATOR_OPTIONS if name in arguments}
    passes = _operators(bundle, runtime, options, named | {"threads": info.threads}, run)
    prefill, decode, *wider = passes if passes else (None, None)
    listener("measure the machine")
    return Profile(
        backend=info,
        others=tuple(name for name in bundle.runtimes if name != runtime),
        parameters=None if bundle.manifest is None else bundle.manifest.target.parameters,
        token_bytes=token_bytes,
        cold_start=start.result(),
        run=run,
        prefill=prefill,
        decode=decode,
        wider=tuple(found for found in wider if found is not None),
        memory=MemoryUse(
            weights_size(bundle.graph_for(runtime)), _cached_bytes(info, options), before, total
        ),
        machine=measure_machine(info.threads, options.machine_seconds),
    )


def _registered(name: str, bundle: Bundle) -> str:
    """The backend of a bundle that calls itself so; one of a plugin may have another name."""
    return name if name in bundle.runtimes else preferred(bundle.runtimes)


def _run(llm: LLM, options: ProfileOptions) -> tuple[float, RunFacts]:
    """Seconds of the first pass, and a prompt with its continuation."""
    draw = random.Random(_SEED)

    def prompt() -> list[int]:
        return [draw.randrange(llm.backend.vocab_size) for _ in range(options.prompt_tokens)]

    begun = time.perf_counter()
    llm.generate([prompt()[:1]], _plain(1))
    first = time.perf_counter() - begun
    llm.generate([prompt()], _plain(_WARM_UP_TOKENS))
    params = _plain(options.tokens)
    measured = prompt()
    client = llm.client
    assert isinstance(client, InProcessClient), "it has one engine, in this process"
    client.compact_pages()
    with Profiler(client.thread.engine) as profiler:
        cpu, begun = time.process_time(), time.perf_counter()
        (output,) = llm.generate([measured], params)
        completion = output.completions[0]
        cpu = time.process_time() - cpu
    if completion.finish_reason == "error":
        raise GenerationError(str(completion.error))
    generated = completion.usage.completion_tokens
    if generated != options.tokens:
        raise ConfigError(
            f"{options.prompt_tokens + options.tokens} tokens do not fit the context of "
            f"{llm.context_length}",
            "Ask for fewer, or give the cache more memory",
        )
    wall = profiler.steps[-1].end - begun
    return first, RunFacts(steps=profiler.steps, wall=wall, cpu=cpu, generated=generated)


def _operators(
    bundle: Bundle,
    runtime: str,
    options: ProfileOptions,
    chosen: dict[str, Any],
    run: RunFacts,
) -> list[OperatorProfile]:
    pages = HugePages()
    config = EngineConfig(**chosen)
    backend = open_backend(bundle, runtime, config, profile=True)
    chunk = max((step.tokens for step in run.of_kind(False)), default=1)
    try:
        return measure_operators(
            backend,
            prompt=options.prompt_tokens,
            tokens=options.tokens,
            chunk=chunk,
            pages=pages,
        )
    finally:
        backend.close()


def _cached_bytes(info: BackendInfo, options: ProfileOptions) -> int:
    """Bytes of all blocks that the run wrote to, that of the warm-up included."""
    longest = options.prompt_tokens + options.tokens
    blocks = [-(-length // info.block_size) for length in (longest, options.prompt_tokens)]
    return sum(blocks) * info.bytes_per_block


def _plain(tokens: int) -> SamplingParams:
    """So many likeliest tokens, whatever the model's makers recommend."""
    return SamplingSettings().complete(SamplingParams(max_tokens=tokens, ignore_eos=True))
