"""How the weights are stored: a checked description that the bundle keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any, Literal, TypeAlias, get_args

from nanoaccel.errors import ConfigError
from nanoaccel.exporters.quantize.methods import CompressionMethod, method_of
from nanoaccel.exporters.quantize.weight_types import FLOATS, TRAITS, Traits, WeightType
from nanoaccel.registry import COMPRESSION_METHODS, did_you_mean

EndType: TypeAlias = Literal["int8", "same", "float"]
Backup: TypeAlias = Literal["int8", "float"]
Fallback: TypeAlias = Literal["smaller", "backup", "error"]

LIMITS = ("share", "target_bits", "target_size", "max_kl", "min_agreement")


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Layers that are stored otherwise.

    Args:
        layers: Their names in the original model, such as ``model.layers.0.mlp.down_proj``; ``*``
            stands for anything, ``?`` for a character and ``[ab]`` for one of some.
        weights: Their type: that of the recipe, "int8", or "float", as they are in the original.
    """

    layers: str
    weights: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Types, layout, method and limits.

    Args:
        weights: Type of the projection matrices.
        symmetric: With int8 and int4, whether integers are centered on zero. Symmetric is faster
            on CPUs without VNNI, asymmetric a little more accurate.
        group_size: Weights along the input that share a scale; -1 is a whole row. None is what the
            type demands, or 64.
        fallback: What a layer gets that the group size does not divide: a smaller group, from 16
            up ("smaller", and the backup where there is none), the backup, or an error.
        methods: What methods choose the numbers, those of plugins included; none rounds to
            nearest.
        embeddings: Type of the embedding: "int8", "same" as the projections, or "float", as it is
            in the original. Where the last projection shares its weights, that one's type counts.
        last_layer: Type of the last projection.
        backup: What layers get that are kept out of ``weights``: "int8", or "float".
        overrides: Layers that are stored otherwise; the last that matches counts.
        share: Share of the projections' weights that are stored as ``weights``; the most sensitive
            layers get the backup.
        target_bits: Bits a weight of the whole model that may be used.
        target_size: Bytes of the weights file that may be used.
        max_kl: The smallest model is made that diverges no more from the original, nats a token.
        min_agreement: ... and that has the same likeliest token at this share of positions.

    Raises:
        ConfigError: A value is out of range, or values do not go together.
        PluginError: A method's plugin cannot be used.

    Examples:
        >>> from nanoaccel import Recipe
        >>> Recipe(weights="int4", group_size=32).describe()
        'int4 symmetric, groups of 32'
    """

    weights: WeightType = "int4"
    symmetric: bool = True
    group_size: int | None = None
    fallback: Fallback = "smaller"
    methods: tuple[str, ...] = ()
    embeddings: EndType = "int8"
    last_layer: EndType = "int8"
    backup: Backup = "int8"
    overrides: tuple[Override, ...] = ()
    share: float = 1.0
    target_bits: float | None = None
    target_size: int | None = None
    max_kl: float | None = None
    min_agreement: float | None = None

    def __post_init__(self) -> None:
        _check_choice("weights", self.weights, tuple(TRAITS))
        for name in ("embeddings", "last_layer"):
            _check_choice(name, getattr(self, name), get_args(EndType))
        _check_choice("backup", self.backup, get_args(Backup))
        _check_choice("fallback", self.fallback, get_args(Fallback))
        self._check_overrides()
        self._check_layout()
        self._check_methods()
        self._check_limits()

    @property
    def traits(self) -> Traits:
        """Traits of the type of the projections."""
        return TRAITS[self.weights]

    @property
    def group(self) -> int:
        """Weights that share a scale; -1 is a whole row."""
        if self.group_size is not None:
            return self.group_size
        return 64 if self.traits.group_size is None else self.traits.group_size

    @property
    def compressed(self) -> bool:
        """Whether weights are stored as less than floats."""
        return self.weights not in FLOATS

    @property
    def calibrated(self) -> bool:
        """Whether it needs a text to calibrate with."""
        return any(method_of(name).needs_text for name in self.methods)

    @property
    def limited(self) -> bool:
        """Whether the model is made again until it keeps a limit of fidelity."""
        return self.max_kl is not None or self.min_agreement is not None

    @property
    def mixed(self) -> bool:
        """Whether the sensitivity of layers decides which of them get the backup."""
        return (
            self.share < 1
            or self.limited
            or not (self.target_bits is None and self.target_size is None)
        )

    @property
    def note(self) -> str:
        """What the user should know of it; empty when there is nothing."""
        if self.traits.expanded:
            return f"{self.weights} saves disk, not memory: the runtime expands it when it loads"
        return ""

    def without_limits(self) -> Recipe:
        """This recipe without limits of size or fidelity.

        Examples:
            >>> from nanoaccel import Recipe
            >>> Recipe(weights="int4", max_kl=0.1).without_limits() == Recipe(weights="int4")
            True
        """
        free: dict[str, Any] = dict.fromkeys(LIMITS)
        return replace(self, **{**free, "share": 1.0})

    def with_target(self, size: int) -> Recipe:
        """This recipe with a limit of so many bytes, and no other limit.

        Examples:
            >>> from nanoaccel import Recipe
            >>> Recipe(weights="int4", max_kl=0.1).with_target(1 << 30).describe()
            'int4 symmetric, groups of 64, at most bytes 1073741824'
        """
        return replace(self.without_limits(), target_size=size)

    def to_json(self) -> dict[str, Any]:
        """The fields that say something: type and layout, and those that are not the usual.

        Examples:
            >>> from nanoaccel import Recipe
            >>> Recipe(weights="int4", group_size=32).to_json()
            {'weights': 'int4', 'symmetric': True, 'group_size': 32}
        """
        layout = ("weights", "symmetric", "group_size")
        usual = asdict(Recipe())
        return {
            name: value
            for name, value in asdict(replace(self, group_size=self.group)).items()
            if name in layout or value != usual[name]
        }

    def bytes_for(self, parameters: int) -> int:
        """About the size of a weights file; scales and an int8 embedding counted.

        Examples:
            >>> from nanoaccel import Recipe
            >>> Recipe(weights="f32").bytes_for(1000)
            4000
        """
        bits = self.traits.bits_with_scales(self.group, self.symmetric)
        return int(parameters * (bits if bits >= 8 else max(bits, 6)) / 8)

    def describe(self) -> str:
        """The recipe in a few words.

        Examples:
            >>> from nanoaccel import Recipe
            >>> Recipe(weights="f32").describe()
            'f32'
        """
        if not self.compressed:
            return self.weights
        words: list[str] = [self.weights]
        if self.traits.asymmetric:
            words.append("symmetric" if self.symmetric else "asymmetric")
        parts = [" ".join(words)]
        if self.weights != "int8":
            parts.append("scale for a row" if self.group == -1 else f"groups of {self.group}")
        if "same" in (self.embeddings, self.last_layer):
            parts.append("embedding and last projection too")
        if self.methods:
            parts.append(" + ".join(self.methods))
        parts += [f"{name} {value}" for name, value in self._limits().items()]
        return ", ".join(parts)

    def _limits(self) -> dict[str, Any]:
        shown = {
            "share": None if self.share == 1 else self.share,
            "at most bits": self.target_bits,
            "at most bytes": self.target_size,
            "KL at most": self.max_kl,
            "agreement at least": self.min_agreement,
        }
        return {name: value for name, value in shown.items() if value is not None}

    def _check_layout(self) -> None:
        fixed = self.traits.group_size
        if self.group_size is None:
            return
        if fixed is not None and self.group_size != fixed and self.compressed:
            value_text = "-1, one scale a row" if fixed == -1 else str(fixed)
            raise ConfigError(
                f"group_size={self.group_size} does not go with weights={self.weights!r}",
                f"Leave it out: it is {value_text}",
            )
        if self.group_size != -1 and (self.group_size < 16 or self.group_size % 16 != 0):
            raise ConfigError(
                f"group_size={self.group_size} is not a multiple of 16",
                "Choose 32, 64 or 128, or -1 for one scale a row",
            )

    def _check_overrides(self) -> None:
        if self.overrides and not self.compressed:
            raise ConfigError(
                f"overrides do not go with weights={self.weights!r}",
                "Nothing is compressed there: take int8 or a smaller type",
            )
        for override in self.overrides:
            _check_choice("override", override.weights, (self.weights, "int8", "float"))

    def _check_methods(self) -> None:
        found: dict[str, CompressionMethod] = {}
        for name in self.methods:
            if not COMPRESSION_METHODS.plugins_named(name):
                _check_choice("method", name, tuple(COMPRESSION_METHODS.names()))
            found[name] = method_of(name)
            if self.weights not in found[name].weights:
                raise ConfigError(
                    f"method {name!r} does not go with weights={self.weights!r}",
                    f"Choose weights that it can choose numbers for: "
                    f"{', '.join(found[name].weights)}",
                )
        for one, other in combinations(found, 2):
            if other not in found[one].goes_with and one not in found[other].goes_with:
                raise ConfigError(
                    f"methods {one!r} and {other!r} do not go together", "Choose one of them"
                )
        if len(set(self.methods)) < len(self.methods):
            raise ConfigError("a method is named twice", "Name each once")

    def _check_limits(self) -> None:
        limits = self._limits()
        sizes = [name for name in limits if name not in ("KL at most", "agreement at least")]
        if len(sizes) > 1 or (sizes and self.limited):
            raise ConfigError(
                f"limits contradict each other: {', '.join(map(str, limits))}",
                "Choose a share, a budget (target_bits, target_size), or limits of fidelity",
            )
        if self.mixed and self.weights in (*FLOATS, "int8", "fp8", "mxfp8"):
            raise ConfigError(
                f"limits do not go with weights={self.weights!r}",
                "They choose which layers get fewer bits: take int4, nf4 or another small type",
            )
        for name, value, low, high in (
            ("share", self.share, 0.0, 1.0),
            ("target_bits", self.target_bits, 1.0, 32.0),
            ("target_size", self.target_size, 1, float("inf")),
            ("max_kl", self.max_kl, 1e-6, float("inf")),
            ("min_agreement", self.min_agreement, 0.0, 0.9999),
        ):
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{name}={value} is out of range", f"Choose {low:g} to {high:g}")


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name}={value!r} is unknown", did_you_mean(value, list(known)))


PRESETS = {
    "fast": Recipe(),
    "balanced": Recipe(symmetric=False, methods=("awq", "scale-estimation")),
    "accurate": Recipe(
        symmetric=False, methods=("awq", "scale-estimation", "gptq"), target_bits=5.7
    ),
    "smallest": Recipe(
        symmetric=False,
        methods=("awq", "scale-estimation", "gptq"),
        embeddings="same",
        last_layer="same",
    ),
}
PRESET_MEANINGS = {
    "fast": "int4 in groups of 64, rounded to nearest: needs no text, runs fastest",
    "balanced": "int4 with zero points, its scales chosen by AWQ and scale estimation over a text",
    "accurate": "balanced and GPTQ, with the most sensitive layers in int8: 5.7 bits a weight",
    "smallest": "balanced and GPTQ, with embedding and last projection in int4 too",
}
