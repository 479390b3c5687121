"""``nanoaccel quickstart``: from nothing to an answer."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from nanoaccel.bundle import MANIFEST
from nanoaccel.cli.loading import open_llm
from nanoaccel.cli.ui.progress import stages
from nanoaccel.cli.ui.speed import speed_line
from nanoaccel.cli.ui.writing import check_completions, complete

_PROMPT = "What is photosynthesis? Answer in two sentences."
_MAX_TOKENS = 96


def quickstart(
    out: Annotated[
        Path, typer.Option(help="The sample bundle's folder; reused when it is there.")
    ] = Path("smollm2-135m"),
) -> None:
    """Export the sample model (98 MB to download) and let it answer a question."""
    from nanoaccel.runtime.sampling import SamplingParams

    if (out / MANIFEST).is_file():
        typer.echo(f"using the bundle in {out}", err=True)
    else:
        from nanoaccel.exporters.pipeline import export

        with stages() as listener:
            export("sample", out, listener=listener)
    with open_llm(out) as llm:
        typer.echo(f"> {_PROMPT}")
        messages = [{"role": "user", "content": _PROMPT}]
        completions = complete(llm, messages, SamplingParams(max_tokens=_MAX_TOKENS), echo=True)
    typer.echo(speed_line(completions), err=True)
    check_completions(completions)
    typer.echo(_next_steps(out))


def _next_steps(out: Path) -> str:
    folder = shlex.quote(str(out))
    return (
        f"\nGo on:\n  nanoaccel chat {folder}\n"
        f"  nanoaccel serve {folder}      # needs the extra 'server'\n"
        f"  nanoaccel inspect {folder}\n"
        "\nIn Python:\n  from nanoaccel import LLM, SamplingParams\n"
        f"  llm = LLM({str(out)!r})\n"
        '  print(llm.generate("Once upon a time", SamplingParams(max_tokens=64)).text)'
    )
