"""``nanoaccel bench``: measure speed, in llama-bench's terms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanoaccel.cli.loading import open_llm
from nanoaccel.cli.options import EngineOptions, ReplicaOptions, llm_arguments
from nanoaccel.cli.ui.progress import working
from nanoaccel.cli.ui.sizes import binary_bytes_text, count_text
from nanoaccel.errors import ConfigError

if TYPE_CHECKING:
    from nanoaccel.bundle import Bundle
    from nanoaccel.runtime.backends import BackendInfo
    from nanoaccel.runtime.tools.benchmark import BenchmarkResult

_COLUMNS = ("model", "size", "params", "backend", "threads", "test", "t/s")


def bench(
    bundle: Path,
    engine: EngineOptions,
    replicas: ReplicaOptions,
    repetitions: Annotated[int, typer.Option(help="Runs of each test, after a warm-up.")] = 5,
    prompt: Annotated[int, typer.Option(help="Tokens of the prompt test; 0 leaves it out.")] = 512,
    generate: Annotated[
        int, typer.Option(help="Tokens of the generation tests; 0 leaves them out.")
    ] = 128,
    batch: Annotated[
        str, typer.Option(metavar="N,...", help="Requests that generate at the same time.")
    ] = "1,4,8,16",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with every run's figure.")
    ] = False,
) -> None:
    """Measure prompt and generation speed in tokens/s; prints llama-bench's table.

    Without speculation, as its gain depends on the text.

    BUNDLE is a bundle's folder.
    """
    from nanoaccel.bundle import Bundle
    from nanoaccel.runtime.tools.benchmark import measure, plan_tests

    tests = plan_tests(prompt, generate, parse_batches(batch))
    opened = Bundle.open(bundle)
    running = max(test.batch for test in tests)
    # Tokens that are found in a cache, or guessed in a text from a random prompt, say nothing.
    measured = {"max_running": running, "prefix_cache": False, "speculation": "off"}
    arguments = {**llm_arguments(engine, replicas), **measured}
    with open_llm(bundle, **arguments) as llm, working("measuring") as show:
        info = llm.backend
        results = [measure(llm, test, repetitions=repetitions, listener=show) for test in tests]
    if as_json:
        typer.echo(json.dumps(_facts(opened, results, info)))
    else:
        typer.echo(markdown_table(opened, results, info))


def parse_batches(text: str) -> tuple[int, ...]:
    """The numbers in ``1,4,8``.

    Raises:
        ConfigError: There is something else.
    """
    try:
        batches = tuple(int(part) for part in text.split(","))
    except ValueError:
        batches = ()
    if not batches or min(batches) < 1:
        raise ConfigError(f"--batch {text!r} is not a list of counts", "Write it as 1,4,8")
    return batches


def markdown_table(bundle: Bundle, results: list[BenchmarkResult], info: BackendInfo) -> str:
    """The results in llama-bench's columns, aligned."""
    first = (_model(bundle), binary_bytes_text(_weights(bundle)), _parameters(bundle))
    rows = [
        (
            *first,
            info.name,
            str(info.threads),
            result.test.name,
            f"{result.mean:.2f} ± {result.sd:.2f}",
        )
        for result in results
    ]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    left = {0, 3}
    lines = [_COLUMNS, *rows]
    text = [
        "| "
        + " | ".join(
            f"{cell:<{width}}" if place in left else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    ]
    rule = " | ".join(
        "-" * width if place in left else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    )
    return "\n".join([text[0], f"| {rule} |", *text[1:]])


def _facts(bundle: Bundle, results: list[BenchmarkResult], info: BackendInfo) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "model": _model(bundle),
        "size": _weights(bundle),
        "parameters": None if manifest is None else manifest.target.parameters,
        "backend": info.name,
        "device": info.device,
        "threads": info.threads,
        "tests": [
            {
                "test": result.test.name,
                "batch": result.test.batch,
                "tokens_per_second": list(result.samples),
                "mean": result.mean,
                "sd": result.sd,
            }
            for result in results
        ],
    }


def _model(bundle: Bundle) -> str:
    if bundle.manifest is None:
        return bundle.folder.resolve().name
    return f"{bundle.manifest.target.architecture} {bundle.manifest.recipe.get('weights')}"


def _parameters(bundle: Bundle) -> str:
    return "?" if bundle.manifest is None else count_text(bundle.manifest.target.parameters)


def _weights(bundle: Bundle) -> int:
    """Bytes of the graph's weights."""
    from nanoaccel.bundle import weights_size

    return weights_size(bundle.graph)
