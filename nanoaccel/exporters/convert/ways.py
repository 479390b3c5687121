"""The conversions that there are: one table, which the command, its help and the docs are made of.

    source kind, target kind -> how it is done, and the function that does it

What there is no way for stands in the table too, where a reason can be given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nanoaccel.errors import ConfigError, UnsupportedModelError
from nanoaccel.exporters.convert.kinds import Kind, kind_of, target_kind
from nanoaccel.exporters.convert.request import Conversion, Converted, ConvertOptions

if TYPE_CHECKING:
    from nanoaccel.exporters.progress import Listener

_HERE = "nanoaccel.exporters.convert"


@dataclass(frozen=True, slots=True)
class Way:
    """How one kind becomes another.

    Args:
        how: In words, for the help and the docs.
        function: "module:function" below this package, which takes a ``Conversion``.
        options: Fields of ``ConvertOptions`` that mean something there.
    """

    how: str
    function: str
    options: tuple[str, ...] = ()

    def run(self, conversion: Conversion) -> Converted:
        """Convert."""
        module, _, name = self.function.partition(":")
        function: Any = getattr(import_module(f"{_HERE}.{module}"), name)
        made: Converted = function(conversion)
        return made


@dataclass(frozen=True, slots=True)
class NoWay:
    """Why one kind does not become another.

    Args:
        reason: What is in the way.
        remedy: What to do instead.
    """

    reason: str
    remedy: str


_QUANTIZED = ("runtime", "recipe", "calibration", "judge_tokens")
_GENAI = NoWay(
    "onnxruntime-genai runs the graphs of its own builder alone: NanoAccel's graph packs the tokens"
    " of all requests, and has inputs for that which it does not fill",
    "Let its builder read the original: python -m onnxruntime_genai.models.builder -i MODEL -o OUT"
    " -p int4 -e cpu",
)
WAYS: Mapping[tuple[Kind, Kind], Way | NoWay] = MappingProxyType(
    {
        ("model", "bundle"): Way(
            "exported, as `nanoaccel export` does", "exported:export_model", _QUANTIZED
        ),
        ("gguf", "bundle"): Way(
            "its weights are read in float, and exported", "exported:export_model", _QUANTIZED
        ),
        ("bundle", "bundle"): Way(
            "another runtime: the OpenVINO graph's codes are taken over; another recipe: made of "
            "the original where it is named or here, else of the bundle's own weights, with their "
            "loss",
            "bundles:convert_bundle",
            (*_QUANTIZED, "original"),
        ),
        ("optimum", "bundle"): Way(
            "the graph stays as it is; for ONNX, or with a recipe, its weights are taken out",
            "folders:wrap_optimum",
            _QUANTIZED,
        ),
        ("genai", "bundle"): Way(
            "the graph stays as it is, and runs as it does there", "folders:wrap_genai"
        ),
        ("model", "gguf"): Way(
            "written in --gguf-type; without one, in the model's own type",
            "files:model_to_gguf",
            ("gguf_type",),
        ),
        ("gguf", "gguf"): Way(
            "its weights are read in float, and written in --gguf-type",
            "files:model_to_gguf",
            ("gguf_type",),
        ),
        ("bundle", "gguf"): Way(
            "of the OpenVINO graph's weights: codes that fit q4_0, q4_1 or q8_0 are copied; with "
            "--gguf-type, of the original where it is named or here",
            "files:bundle_to_gguf",
            ("gguf_type", "original"),
        ),
        ("optimum", "gguf"): Way(
            "of the graph's weights: codes that fit q4_0, q4_1 or q8_0 are copied",
            "files:optimum_to_gguf",
            ("gguf_type",),
        ),
        ("model", "optimum"): Way(
            "exported for OpenVINO; its folder opens in optimum-intel and OpenVINO GenAI",
            "folders:model_to_optimum",
            ("recipe", "calibration", "judge_tokens"),
        ),
        ("gguf", "optimum"): Way(
            "exported for OpenVINO, as a model is",
            "folders:model_to_optimum",
            ("recipe", "calibration", "judge_tokens"),
        ),
        ("bundle", "optimum"): Way(
            "the OpenVINO graph is copied, with its tokenizer; where there is none, it is made as "
            "for a bundle",
            "folders:bundle_to_optimum",
            ("original",),
        ),
        ("model", "genai"): _GENAI,
        ("gguf", "genai"): _GENAI,
        ("bundle", "genai"): _GENAI,
        ("optimum", "genai"): _GENAI,
        ("genai", "gguf"): NoWay(
            "a folder of onnxruntime-genai does not say what model it is: it has no config.json",
            "Convert the original that it was built from",
        ),
        ("genai", "optimum"): NoWay(
            "a folder of onnxruntime-genai does not say what model it is: it has no config.json",
            "Convert the original that it was built from",
        ),
    }
)


def convert(
    source: str | Path,
    out: str | Path,
    *,
    to: str | None = None,
    options: ConvertOptions | None = None,
    listener: Listener | None = None,
) -> Converted:
    """Convert a model, a bundle or a folder into another kind; it appears whole, or not at all.

    Args:
        source: Hub id, folder or file.
        out: The folder or file to make.
        to: "bundle", "gguf", "optimum" or "genai"; None is "gguf" for a name that ends in .gguf,
            else "bundle".
        options: What shall be different.
        listener: Called with the events of each stage.

    Raises:
        ConfigError: An option means nothing for this conversion.
        UnsupportedModelError: There is no such way, or not for this model.
        NanoAccelError: As ``export`` and ``Bundle.open``.
    """
    from nanoaccel.exporters.progress import Progress

    options = ConvertOptions() if options is None else options
    target = Path(out).expanduser().absolute()
    kinds = kind_of(str(source)), target_kind(to, target)
    way = find_way(*kinds)
    _check_options(kinds, way, options)
    progress = Progress((lambda _: None) if listener is None else listener)
    return way.run(Conversion(str(source), target, options, progress))


def find_way(source: Kind, target: Kind) -> Way:
    """The conversion of a kind into another.

    Raises:
        UnsupportedModelError: There is none; the message says which there are, or why.
    """
    way = WAYS.get((source, target))
    if isinstance(way, Way):
        return way
    if way is not None:
        raise UnsupportedModelError(f"{source} to {target} is impossible: {way.reason}", way.remedy)
    known = [to for (of, to), found in WAYS.items() if of == source and isinstance(found, Way)]
    raise UnsupportedModelError(
        f"there is no way from {source} to {target}", f"From {source} there are: {', '.join(known)}"
    )


def table_of_ways() -> str:
    """The table as Markdown."""
    rows = ["| from | to | how |", "| --- | --- | --- |"]
    for (source, target), way in WAYS.items():
        how = way.how if isinstance(way, Way) else f"impossible: {way.reason}. {way.remedy}"
        rows.append(f"| {source} | {target} | {how} |")
    return "\n".join(rows) + "\n"


def _check_options(kinds: tuple[Kind, Kind], way: Way, options: ConvertOptions) -> None:
    for name, flag in _FLAGS.items():
        if getattr(options, name) is not None and name not in way.options:
            raise ConfigError(
                f"{flag} means nothing from {kinds[0]} to {kinds[1]}", f"There: {way.how}"
            )


_FLAGS = {
    "runtime": "--runtime",
    "recipe": "a recipe",
    "calibration": "--calibration",
    "judge_tokens": "--judge-tokens",
    "original": "--original",
    "gguf_type": "--gguf-type",
}
