"""Every causal language model of transformers is exact through the engine, or refused by name.

On each change a few that cover the kinds; all of them with NANOACCEL_NIGHTLY=1, a part of them with
NANOACCEL_SHARD=2/4 too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from support import family_judge
from support.family_judge import judge
from support.tiny_configs import Family, families

pytestmark = pytest.mark.export

_TABLE = families()
# Kinds of positions, masks, mixtures and norms that must run, and not be refused.
_EXACT = (
    "cohere",
    "deepseek_v3",
    "falcon_h1",
    "gemma3_text",
    "gptj",
    "granitemoehybrid (attention alone, rotary)",
    "lfm2",
    "llama",
    "mixtral",
    "opt",
    "qwen3 (window)",
    "qwen3_5_text",
)
# What is hard to get right: all of it is right, or is refused.
_HARD = (
    "bloom",
    "falcon (alibi)",
    "gemma2",
    "gpt2 (scaled by layer)",
    "gpt_neo",
    "llama (dynamic)",
    "mamba",
    "mpt",
    "phi3 (longrope)",
)
_REFUSED = ("bart", "bert", "jamba", "musicgen")
_ONNX_EXACT = ("qwen3", "llama (dynamic)", "phi3 (longrope)")
_ONNX_HARD = ("gemma2",)


def wanted() -> list[tuple[str, Family]]:
    """Of the table, what this run shall judge, and with which runtime."""
    both = [(runtime, family) for family in _TABLE for runtime in ("openvino", "onnx")]
    if os.environ.get("NANOACCEL_NIGHTLY") == "1":
        place, _, parts = os.environ.get("NANOACCEL_SHARD", "1/1").partition("/")
        return both[int(place) - 1 :: int(parts)]
    few = {"openvino": _EXACT + _HARD + _REFUSED, "onnx": _ONNX_EXACT + _ONNX_HARD}
    return [(runtime, family) for runtime, family in both if family.name in few[runtime]]


@pytest.mark.parametrize(
    ("runtime", "family"), wanted(), ids=lambda part: part if isinstance(part, str) else part.name
)
def test_family_is_exact_or_refused(runtime: str, family: Family, tmp_path: Path) -> None:
    verdict = judge(family, tmp_path, runtime)
    assert verdict.sound, f"{family.name}: {verdict.word}: {verdict.text}"
    if family.name in {"openvino": _EXACT, "onnx": _ONNX_EXACT}[runtime]:
        assert verdict.word == "exact", verdict.text
    if family.name in _REFUSED:
        assert verdict.word == "refused"
        assert family.kind in verdict.text or "transformers cannot read" in verdict.text


def test_few_are_in_the_table() -> None:
    names = {family.name for family in _TABLE}
    assert {*_EXACT, *_HARD, *_REFUSED, *_ONNX_EXACT, *_ONNX_HARD} <= names


def test_judge_sees_a_wrong_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is not the one that was exported is told from it."""
    original = family_judge._original

    def turned(source: Path) -> Any:
        model = original(source)
        model.model.layers[1].self_attn.q_proj.weight.data.mul_(1.01)
        return model

    monkeypatch.setattr(family_judge, "_original", turned)
    assert judge(Family("llama"), tmp_path).word == "WRONG"
