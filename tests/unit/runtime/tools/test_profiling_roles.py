from __future__ import annotations

import pytest

from nanoaccel.runtime.backends import OperatorTime, OperatorWork
from nanoaccel.runtime.tools.profiling import MachineSpeed, OperatorProfile, PassShape, roles_of
from nanoaccel.runtime.tools.profiling.roles import own_share

MACHINE = MachineSpeed(bandwidth=1e9, compute=1e9, threads=2, int8=1e9)
LAYER = "/model/layers.{}/attn/qkv_proj/MatMulNBits"


def linear(layer: int | None, seconds: float, weights: int, products: int) -> OperatorTime:
    name = "/lm_head/MatMulNBits" if layer is None else LAYER.format(layer)
    work = OperatorWork(weights=weights, products=products)
    return OperatorTime(name, "Linear", layer, seconds, 2, work)


def profile(*operators: OperatorTime, tokens: int = 8, past: int = 4) -> OperatorProfile:
    shape = PassShape(name="", tokens=tokens, logits=1, past=past, cache_bytes=5_000_000)
    return OperatorProfile(2, 1.0, operators, shape=shape)


def test_roles_join_layers_and_know_what_bounds_them() -> None:
    found = roles_of(
        profile(
            linear(0, 0.02, 1_000_000, 1_000_000),
            linear(1, 0.06, 1_000_000, 1_000_000),
            linear(None, 0.04, 9_000_000, 2_000_000),
            OperatorTime("/model/Gather", "Gather", None, 0.002, 2),
        ),
        MACHINE,
    )
    assert [(role.title, role.own, role.bound) for role in found] == [
        ("Linear q/k/v", True, "products"),  # of eight tokens
        ("Linear lm_head", True, "memory"),  # of one: the others have no logits
        ("Gather", False, ""),
    ]
    assert found[0].seconds == pytest.approx(0.04)
    assert found[0].share == pytest.approx(8 * 2e-3 / 0.04)
    assert found[1].share == pytest.approx(9e-3 / 0.02)
    assert found[2].share is None


def test_roles_of_attention_read_the_cache() -> None:
    name = "/model/layers.0/attn/GroupQueryAttention"
    attention = OperatorTime(name, "PagedAttention", 0, 0.02, 2, OperatorWork(reads_cache=True))
    (found,) = roles_of(profile(attention), MACHINE)
    assert (found.title, found.bound) == ("PagedAttention", "memory")
    assert found.share == pytest.approx(5e-3 / 0.01)
    assert roles_of(profile(attention, past=0), MACHINE)[0].share is None


def test_own_share_is_that_of_the_operators_time() -> None:
    stock = OperatorTime("/model/Gather", "Gather", None, 0.02, 2)
    assert own_share(profile(linear(0, 0.06, 1, 1), stock)) == pytest.approx(0.75)
    assert own_share(profile(stock)) is None
