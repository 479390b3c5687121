"""What becomes of a family: exact through the engine, refused by name, or neither."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from support.tiny_configs import Family, config_of, write_model

from nanoaccel.bundle import Bundle
from nanoaccel.errors import NanoAccelError
from nanoaccel.exporters.progress import StageEvent
from nanoaccel.testing.tiny_models import VOCAB_SIZE as VOCABULARY
from nanoaccel.testing.tiny_models import write_tokenizer

TOLERANCE = 1e-3  # nats
_STEP = 128
_NEW = 12
# Inside of a window; over its border, and over that of rotary factors, while the text is written;
# longer than a step; short, beside the long ones.
_LENGTHS = (30, 42, 90, 200, 3)
_TOP = 5
_FLAT = 0.3  # nats
_WEIGHTS_READ = "load the weights"  # the stage in which work begins


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a family ended.

    Args:
        word: "exact", "refused", "WRONG" or "ERROR".
        text: By how much, or why.
    """

    word: str
    text: str

    @property
    def sound(self) -> bool:
        """Whether a user gets a right text, or is told why not."""
        return self.word in ("exact", "refused")


def judge(family: Family, folder: Path, runtime: str = "openvino") -> Verdict:
    """Export a tiny model of a family and run it through the engine, against torch.

    Args:
        family: A row of the table.
        folder: Empty, to work in.
        runtime: What shall run it.
    """
    from nanoaccel.exporters.quiet import quiet

    try:
        early = refusal_of_config(family, folder / "config-alone", runtime)
        if early is not None:
            return early
        with quiet():
            source = write_family(family, folder / "model")
    except Exception as error:
        return _failed("making it", error)
    out = folder / "bundle"
    try:
        _export(source, out, runtime)
    except NanoAccelError as error:
        if out.exists():
            return Verdict("ERROR", f"it was published, and refused: {error}")
        return _named(error)
    except Exception as error:
        return _failed("export", error)
    try:
        return _compare(source, out, runtime)
    except Exception as error:
        return _failed("engine", error)


def refusal_of_config(family: Family, folder: Path, runtime: str) -> Verdict | None:
    """How its config alone is refused; None when its weights are read."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config_of(family)))
    (folder / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    write_tokenizer(folder)
    stages: list[str] = []
    try:
        _export(folder, folder.parent / "never", runtime, stages)
    except NanoAccelError as error:
        return None if _WEIGHTS_READ in stages else _named(error)
    except Exception as error:
        return None if _WEIGHTS_READ in stages else _failed("reading its config", error)
    return Verdict("ERROR", "exported without weights")


def write_family(family: Family, folder: Path) -> Path:
    """A whole Hugging Face folder."""
    folder.mkdir(parents=True)
    write_model(family, folder)
    write_tokenizer(folder)
    return folder


def _export(source: Path, out: Path, runtime: str, stages: list[str] | None = None) -> None:
    from nanoaccel.exporters.pipeline import export
    from nanoaccel.exporters.quantize.recipe import Recipe

    def listen(event: StageEvent) -> None:
        if stages is not None:
            stages.append(event.stage)

    export(
        source,
        out,
        recipe=Recipe(weights="f32"),
        judge_tokens=256,
        runtime=runtime,
        draft="none",
        listener=listen,
    )


def _named(error: NanoAccelError) -> Verdict:
    line = str(error)
    if len(line.splitlines()) != 1 or error.remedy is None:
        return Verdict("ERROR", f"refused in other form than one line and a remedy: {line!r}")
    return Verdict("refused", line)


def _failed(where: str, error: Exception) -> Verdict:
    line = (str(error).strip().splitlines() or [""])[0]
    return Verdict("ERROR", f"{where}: {type(error).__name__}: {line[:300]}")


def _compare(source: Path, out: Path, runtime: str) -> Verdict:
    from nanoaccel.runtime.llm import LLM
    from nanoaccel.runtime.sampling import SamplingParams

    random = np.random.default_rng(1)
    longest = Bundle.open(out).context_length - _NEW
    lengths = [length for length in _LENGTHS if length <= longest]
    prompts = [random.integers(3, VOCABULARY, length).tolist() for length in lengths]
    params = SamplingParams(max_tokens=_NEW, ignore_eos=True, logprobs=_TOP)
    with LLM(out, precision="f32", backend=runtime, max_step_tokens=_STEP) as llm:
        alone = [llm.generate(ids, params) for ids in prompts]
        batch = llm.generate(prompts, params)
    model = _original(source)
    worst = {}
    for name, outputs in (("alone", alone), ("in a batch", batch)):
        for ids, output in zip(prompts, outputs, strict=True):
            if output.finish_reason != "length":
                return Verdict("ERROR", f"{len(ids)} tokens {name} ended by {output.finish_reason}")
            expected = _expected(model, ids, output.token_ids)
            if expected.std(-1).max() < _FLAT:
                return Verdict("ERROR", "every token is as likely as any: this would test nothing")
            worst[f"{len(ids)} tokens {name}"] = _difference(expected, output.logprobs)
    off = {name: value for name, value in worst.items() if not value <= TOLERANCE}
    if not off:
        return Verdict("exact", f"{max(worst.values()):.0e}")
    return Verdict("WRONG", ", ".join(f"{name} by {value:.3g}" for name, value in off.items()))


def _original(source: Path) -> Any:
    """In torch, with the attention that leaves nothing out (sdpa drops soft caps)."""
    from nanoaccel.exporters.quiet import quiet
    from nanoaccel.exporters.source.model_source import load_model, resolve

    with quiet():
        model = load_model(resolve(str(source)), "f32")
        model.set_attn_implementation("eager")
        return model


def _expected(model: Any, ids: list[int], text: Sequence[int]) -> Any:
    """Log-probabilities of each token of a text, f64 [tokens, vocabulary].

    Where rotary factors depend on the length, each token has a pass of its own.
    """
    import torch

    whole = [*ids, *text]
    places = range(len(ids), len(whole))
    rotary = str(getattr(model.config, "rope_parameters", None))
    with torch.inference_mode():
        if "longrope" in rotary or "dynamic" in rotary:
            starts = [torch.tensor([whole[:end]]) for end in places]
            logits = torch.stack([model(ids, use_cache=False).logits[0, -1] for ids in starts])
        else:
            logits = model(torch.tensor([whole])).logits[0, len(ids) - 1 : -1]
    return logits.double().log_softmax(-1).numpy()


def _difference(expected: Any, logprobs: Any) -> float:
    """Largest difference over the likeliest tokens of each place."""
    found = 0.0
    for row, told in zip(expected, logprobs, strict=True):
        for token, value in told.top:
            found = max(found, abs(float(row[token]) - value))
    return found
