"""Adapters and the matrices of a graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nanoaccel.adapters.folder import Adapter, LowRank
from nanoaccel.errors import AdapterError
from nanoaccel.runtime.adapters.fit import fit

ADAPTABLE = {
    "model.layers.0.self_attn.q_proj": (6, 5),
    "model.layers.0.self_attn.k_proj": (2, 5),
    "model.layers.0.self_attn.v_proj": (3, 5),
    "lm_head": (9, 5),
}


def adapter(base: str | None = None, **shapes: tuple[int, int]) -> Adapter:
    draw = np.random.default_rng(0)
    modules = {
        name.replace("__", "."): LowRank(
            draw.normal(size=(2, inputs)).astype(np.float32),
            draw.normal(size=(outputs, 2)).astype(np.float32),
            0.5,
        )
        for name, (outputs, inputs) in shapes.items()
    }
    return Adapter(Path("mine"), "ab", modules, None, base)


def test_fit_keeps_what_fits() -> None:
    made = adapter(model__layers__0__self_attn__k_proj=(2, 5), lm_head=(9, 5))
    found = fit(made, ADAPTABLE)
    assert list(found) == list(made.modules)
    for module, update in found.items():
        low = made.modules[module]
        np.testing.assert_array_equal(update.down, low.a)
        np.testing.assert_array_equal(update.up, low.b / 2)


def test_fit_refuses_dora() -> None:
    made = adapter(lm_head=(9, 5))
    low = replace(made.modules["lm_head"], magnitude=np.ones(9, np.float32))
    with pytest.raises(AdapterError, match=r"is DoRA.*nanoaccel merge"):
        fit(replace(made, modules={"lm_head": low}), ADAPTABLE)


def test_fit_finds_the_text_of_a_model_that_sees() -> None:
    made = adapter(model__language_model__layers__0__self_attn__k_proj=(2, 5))
    assert list(fit(made, ADAPTABLE)) == ["model.layers.0.self_attn.k_proj"]
    inner = {f"model.language_{name}": shape for name, shape in ADAPTABLE.items()}
    made = adapter(model__layers__0__self_attn__k_proj=(2, 5))
    assert list(fit(made, inner)) == ["model.language_model.layers.0.self_attn.k_proj"]


def test_fit_cuts_a_fused_matrix() -> None:
    made = adapter(model__layers__0__self_attn__qkv_proj=(11, 5))
    whole = made.modules["model.layers.0.self_attn.qkv_proj"]
    found = fit(made, ADAPTABLE)
    assert list(found) == list(ADAPTABLE)[:3]
    joined = np.concatenate([part.up @ part.down for part in found.values()])
    np.testing.assert_allclose(joined, whole.b @ whole.a / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("module", "shape", "said"),
    [
        ("model__layers__0__self_attn__k_proj", (2, 4), "2 x 4; this model's has 2 x 5"),
        ("model__layers__7__self_attn__k_proj", (2, 5), "has no such module"),
        ("model__layers__0__self_attn__kproj", (2, 5), "Did you mean 'k_proj'"),
        ("model__layers__0__self_attn__qkv_proj", (10, 5), "has no such module"),
    ],
)
def test_fit_names_what_does_not(module: str, shape: tuple[int, int], said: str) -> None:
    with pytest.raises(AdapterError, match=said):
        fit(adapter(**{module: shape}), ADAPTABLE)


def test_fit_names_the_base_that_it_belongs_to() -> None:
    with pytest.raises(AdapterError, match="belongs to 'org/other'"):
        fit(adapter("org/other", lm_head=(9, 4)), ADAPTABLE)
