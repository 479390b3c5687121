"""What the model that a bundle was made from predicts over a text."""

from __future__ import annotations

import gc
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nanoaccel.bundle import Bundle
from nanoaccel.calibration.datasets import CalibrationData
from nanoaccel.calibration.reference import Reference, record, reference_path
from nanoaccel.errors import ConfigError, MissingExtraError, SourceError
from nanoaccel.exporters.reference.encoder import ModelEncoder
from nanoaccel.exporters.source import model_source as sources
from nanoaccel.exporters.source.tokenizer_files import write_tokenizer
from nanoaccel.folders import kept_if_possible

if TYPE_CHECKING:
    from nanoaccel.exporters.source.model_source import Source

_NEEDED = ("torch", "transformers")
_COMPUTES = "float32"  # rounding to bf16 is no part of what a model says


def original_of(bundle: Bundle, judge: CalibrationData, tell: Callable[[float], None]) -> Reference:
    """Predictions of the model that a bundle was made from.

    They are kept, so that the model is loaded once for each text.

    Args:
        bundle: Its manifest names the model.
        judge: The text.
        tell: Called with the share of the text that the model has read.

    Raises:
        SourceError: The model cannot be found or read.
        ConfigError: The bundle does not name it, or it has other weights by now.
        MissingExtraError: torch or transformers are not installed.
    """
    model = name_of_original(bundle)
    assert bundle.manifest is not None
    content = bundle.manifest.source.get("content")
    _check_installed()
    if content is not None:
        kept = Reference.load(_path(content, judge), judge.held_out)
        if kept is not None:
            return kept
    try:
        return model_predictions(model, bundle, judge, tell, its_own=True)
    except SourceError as error:
        raise SourceError(
            f"the model that {bundle.folder} was made from cannot be had: {error.problem}",
            "Name it with --against, or another bundle, or none",
        ) from error


def model_predictions(
    model: str,
    bundle: Bundle,
    judge: CalibrationData,
    tell: Callable[[float], None],
    *,
    its_own: bool = False,
) -> Reference:
    """Predictions of any model with a bundle's tokens.

    Args:
        model: As for an export.
        bundle: What it is compared with.
        judge: The text.
        tell: Called with the share of the text that the model has read.
        its_own: Whether it must be what the bundle was made from.

    Raises:
        SourceError: The model cannot be found or read.
        ConfigError: It has another tokenizer, or is not what the bundle was made from.
        MissingExtraError: torch or transformers are not installed.
    """
    _check_installed()
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.source.original_key import content_key

    tell(0.0)
    with quiet():
        source = sources.resolve(model)
        with TemporaryDirectory() as folder:
            write_tokenizer(source, Path(folder))
            check_same_tokens(bundle, ModelEncoder(Path(folder)), model)
        content = content_key(source)
        path = _path(content, judge)
        if its_own:
            _check_content(bundle, content, model)
        reference = Reference.load(path, judge.held_out)
        if reference is None:
            reference = _record(source, bundle if its_own else None, judge, tell)
            with kept_if_possible():
                reference.save(path)
    return reference


def _record(
    source: Source, bundle: Bundle | None, judge: CalibrationData, tell: Callable[[float], None]
) -> Reference:
    """Load a model and run it; with a bundle, its weights must be those that this was made from."""
    from nanoaccel.exporters.source.fingerprint import fingerprint

    loaded, _ = sources.load(source, "f32")
    loaded = loaded.float()
    if bundle is not None and bundle.fingerprint() not in (None, fingerprint(loaded)):
        raise _changed(bundle, source.id)
    reference = record(loaded, judge.name, judge.held_out, tell)
    del loaded
    gc.collect()
    return reference


def _path(content: str, judge: CalibrationData) -> Path:
    from nanoaccel.exporters.source.original_key import original_key

    return reference_path(original_key(content), _COMPUTES, judge.digest)


def _check_content(bundle: Bundle, content: str, model: str) -> None:
    assert bundle.manifest is not None
    if bundle.manifest.source.get("content") not in (None, content):
        raise _changed(bundle, model)


def _changed(bundle: Bundle, model: str) -> ConfigError:
    return ConfigError(
        f"{model} has other weights, another configuration or another tokenizer than "
        f"{bundle.folder} was made from",
        f"Compare with it all the same: --against {model}",
    )


def name_of_original(bundle: Bundle) -> str:
    """The model that a bundle was made from, with its revision on the hub.

    Raises:
        ConfigError: The bundle does not say.
    """
    source = {} if bundle.manifest is None else bundle.manifest.source
    model, revision = source.get("id"), source.get("revision")
    if model is None:
        raise ConfigError(
            f"{bundle.folder} does not say which model it was made from",
            "Name it with --against, or another bundle, or none",
        )
    return model if revision is None or "@" in model else f"{model}@{revision}"


def check_same_tokens(bundle: Bundle, other: ModelEncoder, name: str) -> None:
    """Refuse to compare what reads other tokens.

    Raises:
        ConfigError: The tokenizers differ.
    """
    if ModelEncoder(bundle.tokenizer_folder).vocabulary() != other.vocabulary():
        raise ConfigError(
            f"{name} has another tokenizer than {bundle.folder}",
            "Only models that read the same tokens can be compared",
        )


def check_width(found: int, expected: int) -> None:
    """Refuse to compare predictions over different numbers of tokens.

    Raises:
        ConfigError: They differ.
    """
    if found != expected:
        raise ConfigError(
            f"the bundle gives {found} logits and what it is compared with {expected}",
            "Only models with the same vocabulary can be compared",
        )


def _check_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"comparing with a model needs {', '.join(missing)}",
            'Install them: pip install "nanoaccel[export]", or compare with a bundle, or none',
        )
