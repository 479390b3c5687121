"""What the model that a bundle was made from predicts over a text."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from nanoaccel.bundle import Bundle
from nanoaccel.calibration.datasets import CalibrationData
from nanoaccel.calibration.reference import Reference, record, reference_path
from nanoaccel.errors import ConfigError, MissingExtraError, SourceError
from nanoaccel.exporters import source as sources
from nanoaccel.exporters.encoder import HubEncoder
from nanoaccel.exporters.tokenizer_files import write_tokenizer

_NEEDED = ("torch", "transformers")
_COMPUTES = "float32"  # rounding to bf16 is no part of what a model says


def original_of(bundle: Bundle, judge: CalibrationData, tell: Callable[[float], None]) -> Reference:
    """Predictions of the model that a bundle was made from.

    They are kept, so that the model is loaded once for each text.

    Args:
        bundle: Its manifest names the model.
        judge: The text.
        tell: Is told which share of the text the model has read.

    Raises:
        SourceError: The model cannot be found or read.
        ConfigError: The bundle does not name it, or it has other weights by now.
        MissingExtraError: torch or transformers are not installed.
    """
    model = name_of_original(bundle)
    assert bundle.manifest is not None
    wanted = bundle.manifest.target.fingerprint
    _check_installed()
    if wanted is not None:
        kept = Reference.load(reference_path(wanted, _COMPUTES, judge.digest), judge.held_out)
        if kept is not None:
            return kept
    try:
        return model_predictions(model, bundle, judge, tell, weights=wanted)
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
    weights: str | None = None,
) -> Reference:
    """Predictions of any model with a bundle's tokens.

    Args:
        model: As for an export.
        bundle: What it is compared with.
        judge: The text.
        tell: Is told which share of the text the model has read.
        weights: The fingerprint that it must have; None takes any.

    Raises:
        SourceError: The model cannot be found or read.
        ConfigError: It has another tokenizer, or other weights.
        MissingExtraError: torch or transformers are not installed.
    """
    _check_installed()
    from nanoaccel.exporters.fingerprint import fingerprint
    from nanoaccel.exporters.quiet import quiet

    tell(0.0)
    with quiet():
        source = sources.resolve(model)
        with TemporaryDirectory() as folder:
            write_tokenizer(source, Path(folder))
            check_same_tokens(bundle, HubEncoder(Path(folder)), model)
        loaded, _ = sources.load(source, "f32")
        loaded = loaded.float()
        found = fingerprint(loaded)
        if weights not in (None, found):
            raise ConfigError(
                f"{model} has other weights than {bundle.folder} was made from",
                f"Compare with it all the same: --against {model}",
            )
        path = reference_path(found, _COMPUTES, judge.digest)
        reference = Reference.load(path, judge.held_out)
        if reference is None:
            reference = record(loaded, judge.name, judge.held_out, tell)
            with suppress(OSError):  # a full disk: the next run computes it again
                reference.save(path)
    del loaded
    gc.collect()
    return reference


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


def check_same_tokens(bundle: Bundle, other: HubEncoder, name: str) -> None:
    """Refuse to compare what reads other tokens.

    Raises:
        ConfigError: The tokenizers differ.
    """
    if HubEncoder(bundle.tokenizer_folder).vocabulary() != other.vocabulary():
        raise ConfigError(
            f"{name} has another tokenizer than {bundle.folder}",
            "Only models that read the same tokens can be compared",
        )


def _check_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"comparing with a model needs {', '.join(missing)}",
            'Install them: pip install "nanoaccel[export]", or compare with a bundle, or none',
        )
