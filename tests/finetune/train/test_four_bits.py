"""A base in 4 bits computes with the weights that it unpacks, forth and back."""

from __future__ import annotations

import pytest

from nanoaccel.testing.tiny_models import make_model

torch = pytest.importorskip("torch")

from nanoaccel.finetune.train.four_bits import FourBitLinear, to_four_bits  # noqa: E402

pytestmark = pytest.mark.export


@pytest.mark.parametrize("group", [16, 32, 64])
def test_weights_are_within_half_a_step(group: int) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(128, 24)
    packed = FourBitLinear(layer, group)
    groups = layer.weight.detach().unflatten(1, (-1, group))
    step = (groups.amax(-1) - groups.amin(-1)) / 15
    error = (packed.weight - layer.weight).unflatten(1, (-1, group)).abs().amax(-1)
    assert (error <= 0.51 * step + 0.5 * step).all()  # the zero point is whole too
    assert error.mean() < 0.6 * step.mean()
    assert packed.packed.numel() == 24 * 128 / 2


def test_products_and_gradients_are_of_the_unpacked_weights() -> None:
    torch.manual_seed(0)
    packed = FourBitLinear(torch.nn.Linear(64, 24), 64)
    x = torch.randn(2, 5, 64, requires_grad=True)
    wanted = torch.nn.functional.linear(x, packed.weight, packed.bias)
    found = packed(x)
    assert torch.allclose(found, wanted, atol=1e-6)
    (slope,) = torch.autograd.grad(found.square().sum(), x)
    (right,) = torch.autograd.grad(wanted.square().sum(), x)
    assert torch.allclose(slope, right, atol=1e-4)


def test_a_group_of_zeros_stays_zero() -> None:
    layer = torch.nn.Linear(64, 2, bias=False)
    torch.nn.init.zeros_(layer.weight)
    assert not FourBitLinear(layer, 64).weight.any()


def test_all_linear_layers_but_the_last_are_packed() -> None:
    model = make_model("llama", intermediate_size=100)  # no whole groups in its rows
    ids = torch.arange(3, 11)[None]
    before = model(ids).logits.detach()
    to_four_bits(model)
    packed = {
        name.rsplit(".", 1)[-1]
        for name, one in model.named_modules()
        if isinstance(one, FourBitLinear)
    }
    assert packed == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj"}
    after = model(ids).logits.detach()
    assert torch.nn.functional.cosine_similarity(before, after, dim=-1).mean() > 0.8
