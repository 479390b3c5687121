"""``nanoaccel generate``: continue one prompt."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanoaccel.cli.loading import open_llm
from nanoaccel.cli.options import (
    AdapterOptions,
    EngineOptions,
    GrammarOptions,
    ReplicaOptions,
    ReuseOptions,
    SamplingOptions,
    SpeculationOptions,
    llm_arguments,
)
from nanoaccel.cli.options.panels import in_engine, in_sampling
from nanoaccel.cli.ui.prompt import read_prompt
from nanoaccel.cli.ui.speed import speed_line
from nanoaccel.cli.ui.writing import check_completions, complete
from nanoaccel.errors import ConfigError

if TYPE_CHECKING:
    from nanoaccel.runtime.engine.prompts import Prompt
    from nanoaccel.runtime.llm import LLM
    from nanoaccel.runtime.types.outputs import Completion


def generate(
    bundle: Path,
    sampling: SamplingOptions,
    grammar: GrammarOptions,
    engine: EngineOptions,
    replicas: ReplicaOptions,
    speculation: SpeculationOptions,
    reuse: ReuseOptions,
    adapters: AdapterOptions,
    prompt: Annotated[str | None, typer.Argument(show_default=False)] = None,
    file: Annotated[Path | None, typer.Option(help="Read the prompt from a file.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Continue the prompt as it is, without chat template.")
    ] = False,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The system message before the prompt.")
    ] = None,
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--no-stream", help="Print text as it comes; on a terminal it does."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    n: Annotated[int, in_sampling("-n", help="Independent completions.")] = 1,
    logprobs: Annotated[
        int | None,
        in_sampling(help="With --json: log-probabilities of each token and of the k likeliest."),
    ] = None,
    prompt_logprobs: Annotated[
        int | None, in_sampling(help="The same of the prompt; --max-tokens 0 writes nothing.")
    ] = None,
    max_running: Annotated[
        int | None, in_engine(help="Completions that run together at most.", show_default="32")
    ] = None,
) -> None:
    """Continue a prompt; for a chat model it becomes the user's message.

    BUNDLE is a bundle's folder. Without PROMPT, or with '-', the prompt is read from standard
    input; the last line's end is then left out.
    """
    _check_together(raw=raw, system=system, stream=stream, as_json=as_json, n=n)
    for name, given in (("--logprobs", logprobs), ("--prompt-logprobs", prompt_logprobs)):
        if given is not None and not as_json:
            raise ConfigError(f"{name} are only shown in JSON", "Add --json")
    params = sampling.params(
        n=n, logprobs=logprobs, prompt_logprobs=prompt_logprobs, grammar=grammar.grammar()
    )
    text = read_prompt(prompt, file)
    echo = not as_json and n == 1 and (sys.stdout.isatty() if stream is None else stream)
    arguments = llm_arguments(engine, replicas, speculation, reuse, adapters)
    # All completions are queued at once.
    with open_llm(bundle, **arguments, max_running=max_running, max_waiting=n) as llm:
        asked = _wrap(llm, text, raw, system), params, adapters.request()
        completions = complete(llm, *asked, echo=echo)
    if as_json:
        typer.echo(_json(completions))
    else:
        if not echo:
            _print_texts(completions)
        typer.echo(speed_line(completions), err=True)
    check_completions(completions)


def _check_together(
    *,
    raw: bool,
    system: str | None,
    stream: bool | None,
    as_json: bool,
    n: int,
) -> None:
    if raw and system is not None:
        raise ConfigError("--system does not go with --raw", "Leave one of them out")
    if stream and as_json:
        raise ConfigError("--stream does not go with --json", "Leave one of them out")
    if stream and n > 1:
        raise ConfigError(f"--stream does not go with -n {n}", "Leave one of them out")


def _wrap(llm: LLM, text: str, raw: bool, system: str | None) -> Prompt:
    if raw or not llm.tokenizer.has_chat_template:
        if system is not None:
            raise ConfigError(
                "--system needs a chat template, and this model has none", "Leave --system out"
            )
        return text
    first = [] if system is None else [{"role": "system", "content": system}]
    return [*first, {"role": "user", "content": text}]


def _print_texts(completions: tuple[Completion, ...]) -> None:
    for number, completion in enumerate(completions, 1):
        if len(completions) > 1:
            typer.echo(f"--- {number} of {len(completions)} ---")
        typer.echo(completion.text)


def _json(completions: tuple[Completion, ...]) -> str:
    """One object: the first completion's fields, and all completions when there are several."""
    content = _facts(completions[0])
    content["usage"]["completion_tokens"] = sum(c.usage.completion_tokens for c in completions)
    if len(completions) > 1:
        content["completions"] = [_facts(completion) for completion in completions]
    return json.dumps(content)


def _facts(completion: Completion) -> dict[str, Any]:
    speed = completion.stats.decode_tokens_per_second(completion.usage.completion_tokens)
    return {
        "text": completion.text,
        "token_ids": list(completion.token_ids),
        "finish_reason": completion.finish_reason,
        "usage": asdict(completion.usage),
        "stats": {**asdict(completion.stats), "decode_tokens_per_second": speed},
        "logprobs": [asdict(entry) for entry in completion.logprobs],
        "prompt_logprobs": [entry and asdict(entry) for entry in completion.prompt_logprobs],
        "error": completion.error,
    }
