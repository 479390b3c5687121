"""``nanoaccel inspect``: say what a bundle is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanoaccel.cli.ui.fidelity_text import validation_lines
from nanoaccel.cli.ui.progress import working
from nanoaccel.cli.ui.sizes import bytes_text, count_text
from nanoaccel.cli.ui.table import named_rows, table

if TYPE_CHECKING:
    from nanoaccel.bundle import Bundle, Manifest


def inspect(
    bundle: Path,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the sha256 of every file.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a bundle holds, where it came from and how it was made.

    BUNDLE is a bundle's folder, or a plain folder that optimum-intel exported.
    """
    from nanoaccel.bundle import Bundle

    opened = Bundle.open(bundle)
    verified = None
    if verify and opened.manifest is not None:
        with working(f"checking {bundle}"):
            opened.verify()
        verified = True
    if as_json:
        typer.echo(json.dumps(_facts(opened, verified)))
        return
    typer.echo(table(_rows(opened)))
    if verified:
        typer.echo("\nall checksums are right")
    elif verify:
        typer.echo("\nnothing to verify: a plain folder has no checksums")


def _facts(bundle: Bundle, verified: bool | None) -> dict[str, Any]:
    from nanoaccel.runtime.sampling import SamplingSettings
    from nanoaccel.runtime.tools.cache_needs import cache_needs

    needs = cache_needs(bundle.graph)
    manifest = None if bundle.manifest is None else asdict(bundle.manifest)
    return {
        "folder": str(bundle.folder),
        "runtimes": bundle.runtimes,
        "operators": _operators(bundle),
        "graph": str(bundle.graph),
        "context_length": bundle.context_length,
        "cache": None if needs is None else asdict(needs),
        "sampling_defaults": asdict(SamplingSettings.of_model(bundle.tokenizer_folder)),
        "bits_per_weight": _bits_per_weight(bundle),
        "manifest": manifest,
        "verified": verified,
    }


def _rows(bundle: Bundle) -> list[tuple[str, str]]:
    from nanoaccel.runtime.sampling import SamplingSettings

    manifest, operators = bundle.manifest, _operators(bundle)
    rows = [
        ("folder", str(bundle.folder)),
        ("kind", "plain folder" if manifest is None else "NanoAccel bundle"),
        ("runtime", ", ".join(bundle.runtimes)),
        *([] if operators is None else [("operators", f"{operators} (of ONNX Runtime, here)")]),
        ("context", _context(bundle)),
        *named_rows("cache", _cache(bundle)),
        ("sampling defaults", SamplingSettings.of_model(bundle.tokenizer_folder).described()),
    ]
    if manifest is None:
        return [*rows, *_plain_files(bundle)]
    bits = _bits_per_weight(bundle)
    return [
        ("source", _source(manifest)),
        ("architecture", manifest.target.architecture),
        ("parameters", count_text(manifest.target.parameters)),
        ("recipe", ", ".join(f"{name} {value}" for name, value in manifest.recipe.items())),
        *([] if bits is None else [("bits per weight", f"{bits:.2f}")]),
        *rows,
        *named_rows("validation", validation_lines(manifest.validation)),
        *_self_checks(manifest),
        *named_rows("tools", [f"{k} {v}" for k, v in manifest.tools.items()]),
        ("size", bytes_text(sum(entry.size for entry in manifest.files))),
        *named_rows("files", [f"{bytes_text(f.size):>9}  {f.path}" for f in manifest.files]),
    ]


def _operators(bundle: Bundle) -> str | None:
    """What computes the graph on this machine; None when its runtimes have only stock ones."""
    from nanoaccel.registry import BACKENDS
    from nanoaccel.runtime.native import find_operators

    replaced = any(BACKENDS.facts(name).own_operators for name in bundle.runtimes)
    return find_operators().described() if replaced else None


def _context(bundle: Bundle) -> str:
    length = f"{bundle.context_length:,} tokens"
    return f"{length}: {bundle.context_note}" if bundle.context_note else length


def _cache(bundle: Bundle) -> list[str]:
    """What a text takes of the cache; nothing where the graph does not say it."""
    from nanoaccel.runtime.tools.cache_needs import cache_needs

    needs = cache_needs(bundle.graph)
    if needs is None:
        return []
    numbers = needs.numbers_per_token
    lines = ["no keys and values"]
    if numbers > 0:
        lines = [f"{bytes_text(2 * numbers)} per token in 16 bits ({numbers:,} numbers)"]
    if needs.state_bytes > 0:
        lines.append(f"{bytes_text(needs.state_bytes)} of states per sequence, however long it is")
    return lines


def _self_checks(manifest: Manifest) -> list[tuple[str, str]]:
    """What the engine gave beside what is right, a line for each runtime."""
    if not manifest.self_check:
        return [("self-check", "none: exported before there was one")]
    lines = [
        f"{runtime}: within {float(str(found['difference'])):.1g} nats of {found['against']} "
        f"(at most {float(str(found['tolerance'])):g}; {found['requests']} requests, up to "
        f"{found['tokens']} tokens)"
        for runtime, found in manifest.self_check.items()
    ]
    return named_rows("self-check", lines)


def _source(manifest: Manifest) -> str:
    revision = manifest.source.get("revision")
    name = str(manifest.source.get("id"))
    return name if revision is None else f"{name} at {revision}"


def _bits_per_weight(bundle: Bundle) -> float | None:
    """Bits of the weights file for each weight of the model; None when that is unknown."""
    weights = bundle.weights_of(bundle.runtime)
    if bundle.manifest is None or not weights.is_file():
        return None
    parameters = bundle.manifest.target.parameters
    return weights.stat().st_size * 8 / parameters if parameters > 0 else None


def _plain_files(bundle: Bundle) -> list[tuple[str, str]]:
    files = sorted(path for path in bundle.folder.iterdir() if path.is_file())
    sizes = [path.stat().st_size for path in files]
    return [
        ("size", bytes_text(sum(sizes))),
        *named_rows(
            "files",
            [f"{bytes_text(s):>9}  {p.name}" for p, s in zip(files, sizes, strict=True)],
        ),
    ]
