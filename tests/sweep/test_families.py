"""Every causal language model of transformers is exact through the engine, or refused by name.

On each change a few that cover the kinds; all of them in the nightly run, a part of them with
NANOACCEL_SHARD=2/4.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from support import family_judge
from support.family_judge import judge
from support.tiny_configs import Family, families

pytestmark = pytest.mark.export

_TABLE = families()
# Kinds of positions, masks, caches, mixtures and norms that must run, and not be refused.
_EXACT = {
    "openvino": ("deepseek_v3", "falcon_h1", "gemma2", "gemma3_text", "mixtral", "qwen3_5_text"),
    "onnx": ("granitemoehybrid (attention alone, rotary)", "lfm2", "llama", "phi3 (longrope)"),
}
# What is hard to get right: all of it is right, or is refused.
_HARD = {"openvino": ("bloom", "llama (dynamic)"), "onnx": ("gemma2",)}
_REFUSED = ("bart", "bert", "musicgen", "rwkv")


def wanted() -> Iterator[Any]:
    """Of the table, what this run shall judge, and with which runtime."""
    both = [(runtime, family) for family in _TABLE for runtime in ("openvino", "onnx")]
    place, _, parts = os.environ.get("NANOACCEL_SHARD", "1/1").partition("/")
    few = {runtime: {*_EXACT[runtime], *_HARD[runtime], *_REFUSED} for runtime in _EXACT}
    for runtime, family in both[int(place) - 1 :: int(parts)]:
        marks = () if family.name in few[runtime] else (pytest.mark.nightly,)
        yield pytest.param(runtime, family, marks=marks, id=f"{runtime}-{family.name}")


@pytest.mark.parametrize(("runtime", "family"), wanted())
def test_family_is_exact_or_refused(runtime: str, family: Family, tmp_path: Path) -> None:
    verdict = judge(family, tmp_path, runtime)
    assert verdict.sound, f"{family.name}: {verdict.word}: {verdict.text}"
    if family.name in _EXACT[runtime]:
        assert verdict.word == "exact", verdict.text
    if family.name in _REFUSED:
        assert verdict.word == "refused"
        assert family.kind in verdict.text or "transformers cannot read" in verdict.text


def test_few_are_in_the_table() -> None:
    names = {family.name for family in _TABLE}
    chosen = [name for few in (_EXACT, _HARD) for found in few.values() for name in found]
    assert {*chosen, *_REFUSED} <= names


def test_judge_sees_a_wrong_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is not the one that was exported is told from it."""
    original = family_judge._original

    def turned(source: Path) -> Any:
        model = original(source)
        model.model.layers[1].self_attn.q_proj.weight.data.mul_(1.01)
        return model

    monkeypatch.setattr(family_judge, "_original", turned)
    assert judge(Family("llama"), tmp_path).word == "WRONG"
