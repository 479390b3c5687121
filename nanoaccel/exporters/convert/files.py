"""To a GGUF file, for llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nanoaccel.bundle import Bundle
from nanoaccel.errors import ConfigError
from nanoaccel.exporters.convert.bundle_parts import manifest_of, no_weights, open_whole
from nanoaccel.exporters.convert.gguf import GGUF_TYPES, SAME, GGUFContent, write_gguf
from nanoaccel.exporters.convert.original import find_original
from nanoaccel.exporters.convert.request import Conversion, Converted
from nanoaccel.exporters.publish import publishing_file
from nanoaccel.exporters.targets.table import BASE
from nanoaccel.registry import did_you_mean

if TYPE_CHECKING:
    from nanoaccel.exporters.convert.gguf import WrittenGGUF

_MAGIC = b"GGUF"


def model_to_gguf(conversion: Conversion) -> Converted:
    """Write a model.

    Raises:
        NanoAccelError: As ``resolve``, ``load`` and ``write_gguf``.
    """
    return _of_model(conversion.source, conversion, _type(conversion))


def bundle_to_gguf(conversion: Conversion) -> Converted:
    """Write a bundle's weights, or its original's.

    Raises:
        NanoAccelError: As ``recover`` and ``write_gguf``.
    """
    kind, options = _type(conversion), conversion.options
    bundle = open_whole(conversion.source)
    manifest = manifest_of(bundle)
    if options.original is not None or kind != SAME or BASE.name not in bundle.runtimes:
        original = find_original(manifest, options.original)
        if original is not None:
            return _of_model(original, conversion, kind)
    if BASE.name not in bundle.runtimes:
        raise no_weights(bundle, manifest)
    name = str(manifest.source.get("id"))
    return _of_graph(name, bundle.graph_for(BASE.name), bundle, conversion, kind)


def optimum_to_gguf(conversion: Conversion) -> Converted:
    """Write the weights of a folder of optimum-intel.

    Raises:
        NanoAccelError: As ``recover`` and ``write_gguf``.
    """
    bundle = Bundle.open(Path(conversion.source).expanduser())
    return _of_graph(bundle.folder.name, bundle.graph, bundle, conversion, _type(conversion))


def _type(conversion: Conversion) -> str:
    asked = conversion.options.gguf_type
    if asked is None:
        return SAME
    if asked not in GGUF_TYPES:
        raise ConfigError(
            f"--gguf-type {asked!r} is unknown", did_you_mean(asked, list(GGUF_TYPES))
        )
    return asked


def _of_model(name: str, conversion: Conversion, kind: str) -> Converted:
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.source import model_source as sources
    from nanoaccel.exporters.source.tokenizer_files import write_tokenizer

    progress, options = conversion.progress, conversion.options
    with publishing_file(conversion.out, overwrite=options.overwrite, magic=_MAGIC) as path:
        with progress.stage("load the weights"), quiet():
            source = sources.resolve(name)
            progress.model_type = sources.load_config(source).model_type
            tokenizer = path.parent / "tokenizer"
            tokenizer.mkdir()
            ends = write_tokenizer(source, tokenizer)
            model, _ = sources.load(source, "int8", ends)  # in their own type
        content = GGUFContent(name=Path(name).name, model=model, tokenizer=tokenizer)
        with progress.stage("write the GGUF file") as tell, quiet():
            written = write_gguf(path, content, kind, tell)
    return Converted(conversion.out, "gguf", _describe(written), _notes(written, name))


def _of_graph(
    name: str, graph: Path, bundle: Bundle, conversion: Conversion, kind: str
) -> Converted:
    from nanoaccel.exporters.convert.recovered import recover
    from nanoaccel.exporters.quiet import quiet

    progress, options = conversion.progress, conversion.options
    with publishing_file(conversion.out, overwrite=options.overwrite, magic=_MAGIC) as path:
        with progress.stage("take the weights out of the graph"), quiet():
            found = recover(graph)
        content = GGUFContent(
            name=Path(name).name,
            model=found.model,
            tokenizer=bundle.tokenizer_folder,
            stored=found.stored,
        )
        with progress.stage("write the GGUF file") as tell, quiet():
            written = write_gguf(path, content, kind, tell)
    return Converted(conversion.out, "gguf", _describe(written), _notes(written, "the bundle"))


def _describe(written: WrittenGGUF) -> str:
    counts: Mapping[str, int] = written.types
    types = ", ".join(f"{n} {name.lower()}" for name, n in sorted(counts.items()))
    return f"{sum(counts.values())} matrices ({types}), {written.copied} with the very same numbers"


def _notes(written: WrittenGGUF, name: str) -> tuple[str, ...]:
    if not written.rounded:
        return ()
    return (f"{written.rounded} matrices were rounded anew, so texts differ from those of {name}",)
