"""A bundle beside the folder of the model that it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanoaccel.evaluation.comparison import CompareOptions, ComparisonPrompt, compare

pytestmark = pytest.mark.export


def test_a_model_and_its_bundle_say_the_same(tiny_model: Path, tiny_bundle: Path) -> None:
    asked = [ComparisonPrompt(f"{n}", ({"role": "user", "content": "tide " * n},)) for n in (1, 40)]
    options = CompareOptions(max_tokens=8, precision="f32")
    found = compare(tiny_model, tiny_bundle, asked, options)
    assert (found.a.backend, found.b.backend) == ("torch", "openvino")
    assert found.same == 2
    assert found.fidelity.kl < 1e-5
    assert found.fidelity.tokens == found.a.tokens
