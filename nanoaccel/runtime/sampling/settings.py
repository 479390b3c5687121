"""What stands where a user leaves the choice of tokens to the model, and where that is written."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from nanoaccel.errors import BundleDamagedError, SamplingError
from nanoaccel.runtime.sampling.params import SamplingParams

GENERATION_CONFIG = "generation_config.json"
# What transformers would do beside, and the values with which it does nothing.
_NOT_APPLIED: Mapping[str, tuple[object, ...]] = {
    "bad_words_ids": (None, []),
    "begin_suppress_tokens": (None, []),
    "dola_layers": (None,),
    "encoder_no_repeat_ngram_size": (None, 0),
    "encoder_repetition_penalty": (None, 1),
    "epsilon_cutoff": (None, 0),
    "eta_cutoff": (None, 0),
    "exponential_decay_length_penalty": (None,),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "guidance_scale": (None, 1),
    "min_length": (None, 0),
    "min_new_tokens": (None, 0),
    "no_repeat_ngram_size": (None, 0),
    "num_beams": (None, 1),
    "penalty_alpha": (None, 0),
    "sequence_bias": (None, {}, []),
    "suppress_tokens": (None, []),
    "top_h": (None,),
    "typical_p": (None, 1),
}

_log = logging.getLogger("nanoaccel.sampling")


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """How a token is chosen, with nothing left open; by itself greedy, nothing filtered.

    Those of a model are in its generation_config.json, and mean what they mean in transformers:
    without ``"do_sample": true`` it is greedy, whatever temperature the file names; with it, the
    temperature is the file's, or 1. A repetition penalty counts in both. What the file does not
    name is off, top_k too, as in vLLM (transformers would keep the 50 likeliest).

    Args:
        temperature: 0 is greedy.
        top_k: 0 keeps all.
        top_p: 1 keeps all.
        min_p: 0 keeps all.
        repetition_penalty: 1 is off.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken each time."""
        return self.temperature == 0

    def under(self, params: SamplingParams) -> SamplingSettings:
        """What holds when a user asks for ``params``."""
        asked = {item.name: getattr(params, item.name) for item in fields(self)}
        return replace(self, **{name: value for name, value in asked.items() if value is not None})

    def complete(self, params: SamplingParams) -> SamplingParams:
        """Parameters that leave nothing open."""
        settled = self.under(params)
        return replace(params, **{item.name: getattr(settled, item.name) for item in fields(self)})

    def described(self) -> str:
        """For people: ``greedy``, or ``temperature 0.6, top_p 0.9``."""
        shown = [("temperature", self.temperature)] if not self.greedy else []
        for item in fields(self):
            relevant = item.name == "repetition_penalty" or not self.greedy
            value = getattr(self, item.name)
            if relevant and item.name != "temperature" and value != item.default:
                shown.append((item.name, value))
        told = [f"{name} {value:g}" for name, value in shown]
        return ", ".join(["greedy", *told] if self.greedy else told)

    @classmethod
    def of_model(cls, folder: Path) -> SamplingSettings:
        """Those of a model whose files are in a folder; without generation_config.json, greedy.

        A value that cannot be, and a setting that is not applied here, is told to the log and
        passed over.

        Raises:
            BundleDamagedError: The file is not JSON.
        """
        path = folder / GENERATION_CONFIG
        written = _read(path)
        for name, harmless in _NOT_APPLIED.items():
            if written.get(name) not in harmless:
                _log.warning(
                    "%s sets %s=%.80r, which is not applied here", path, name, written[name]
                )
        found = {item.name: written[item.name] for item in fields(cls) if item.name in written}
        if found.get("top_k") == -1:
            found["top_k"] = 0  # off, as others write it
        if written.get("do_sample") is not True:
            found["temperature"] = 0.0
        elif found.get("temperature") is None:
            found["temperature"] = 1.0
        checked = cls()
        for name, value in found.items():
            try:
                checked = checked.under(SamplingParams(**{name: value}))
            except SamplingError as error:
                _log.warning("%s: %s; it is passed over", path, error.problem)
                if name == "temperature":
                    checked = replace(checked, temperature=1.0)
        return checked


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleDamagedError(
            f"{path} cannot be read as JSON: {error}",
            "Export the model again, or copy the file from the original model",
        ) from error
    if not isinstance(value, dict):
        raise BundleDamagedError(
            f"{path} holds a {type(value).__name__}, no object",
            "Export the model again, or copy the file from the original model",
        )
    return value
