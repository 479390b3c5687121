"""What every adapter method promises: an adapter that can be read again, and an untouched base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanoaccel.adapters.folder import Adapter, BaseNote, read_adapter
from nanoaccel.finetune.adapters.attach import attach
from nanoaccel.finetune.adapters.deltas import delta
from nanoaccel.finetune.adapters.files import write_adapter
from nanoaccel.finetune.adapters.methods import AdapterMethodFactory
from nanoaccel.finetune.train.options import TrainingOptions
from nanoaccel.registry import ADAPTER_METHODS
from nanoaccel.registry.extension_point import check

CONTRACT = "adapter_method"


class TestAdapterMethod:
    """The suite; ``subject`` makes the method."""

    @pytest.fixture(autouse=True)
    def registered(self, subject: AdapterMethodFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ADAPTER_METHODS, "make", lambda _: subject())
        monkeypatch.setattr(ADAPTER_METHODS, "plugins_named", lambda _: [True])

    @pytest.fixture
    def base(self) -> Any:
        from nanoaccel.testing.tiny_models import make_model

        return make_model("llama", num_hidden_layers=1)

    def test_it_has_what_the_interface_says(self, subject: AdapterMethodFactory) -> None:
        assert ADAPTER_METHODS.makes is not None
        check(subject, ADAPTER_METHODS.interface, ())
        method = subject()
        check(method, ADAPTER_METHODS.makes, ADAPTER_METHODS.capabilities)
        assert 0 < method.rate < 1
        assert isinstance(method.four_bits, bool)

    def test_adapter_alone_learns_and_the_base_stays(self, base: Any) -> None:
        import torch

        before = {name: one.clone() for name, one in base.state_dict().items()}
        attach(base, options())
        learned = [name for name, one in base.named_parameters() if one.requires_grad]
        assert learned
        assert all("lora_" in name for name in learned), "something else learns too"
        for name, one in base.state_dict().items():
            if "lora_" not in name:
                assert torch.equal(one, before[name.replace(".base_layer", "")])

    def test_adapter_is_the_same_again(self, base: Any) -> None:
        import torch

        from nanoaccel.testing.tiny_models import make_model

        attach(base, options())
        other = make_model("llama", num_hidden_layers=1)
        torch.randn(7)
        attach(other, options())
        for (name, one), (_, two) in zip(
            base.named_parameters(), other.named_parameters(), strict=True
        ):
            assert torch.equal(one, two), f"{name} is another one with the same seed"

    def test_adapter_begins_near_the_base(self, base: Any) -> None:
        import torch

        tokens = torch.arange(8)[None]
        with torch.no_grad():
            expected = base(tokens).logits
            attach(base, options())
            change = (base(tokens).logits - expected).abs().max()
        assert torch.isfinite(change)
        assert change <= expected.abs().max()

    def test_what_was_learned_is_read_again(self, base: Any, tmp_path: Path) -> None:
        import torch

        adapter = learned(base, tmp_path)
        layers = dict(base.named_modules())
        assert adapter.modules
        for path, low in adapter.modules.items():
            layer = layers[path]
            inputs = torch.eye(layer.in_features)
            with torch.no_grad():
                whole = layer.eval()(inputs) - (layer.bias if layer.bias is not None else 0)
                mine = (layer.weight.float() + delta(layer.weight, low)).T
            assert np.allclose(whole.numpy(), mine.numpy(), atol=1e-4), f"{path} computes otherwise"


def options() -> TrainingOptions:
    """What the adapters of these tests are made with."""
    return TrainingOptions(method=CONTRACT, rank=4, modules=("q_proj", "down_proj"), seed=3)


def learned(base: Any, folder: Path) -> Adapter:
    """An adapter with other numbers than its first ones, written and read."""
    import torch

    config = attach(base, options())
    values = {name: one for name, one in base.named_parameters() if one.requires_grad}
    torch.manual_seed(0)
    with torch.no_grad():
        for one in values.values():
            one.add_(0.1 * torch.randn_like(one))
    note = BaseNote(id="tiny", revision=None, fingerprint="0")
    write_adapter(folder, base, config, values, note)
    return read_adapter(folder)
