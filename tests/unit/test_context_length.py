"""How many tokens a model attends to, by its config.json."""

from __future__ import annotations

from typing import Any

import pytest

from nanoaccel.bundle.context import find_context_length

SCALED = {"factor": 4.0, "original_max_position_embeddings": 1024}


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({}, None),
        ({"max_position_embeddings": "many"}, None),
        ({"max_position_embeddings": 2048}, 2048),
        ({"n_positions": 1024}, 1024),
        ({"n_ctx": 512}, 512),
        ({"max_seq_len": 256}, 256),
        ({"seq_length": 128}, 128),
        ({"model_max_length": 64}, 64),
        ({"max_position_embeddings": 2048, "model_max_length": 64}, 2048),
        ({"text_config": {"max_position_embeddings": 2048}}, 2048),
        ({"text_config": "none"}, None),
    ],
)
def test_context_length_is_what_the_config_names(
    config: dict[str, Any], length: int | None
) -> None:
    assert find_context_length(config) == length


@pytest.mark.parametrize(
    ("rope", "length"),
    [
        ({"rope_type": "yarn", "factor": 4.0}, 8192),
        ({"rope_type": "linear", "factor": 2}, 4096),
        ({"type": "linear", "factor": 2}, 4096),
        ({"rope_type": "linear", "factor": 1}, 2048),
        ({"rope_type": "yarn", "factor": 0.5}, 2048),
        ({"rope_type": "yarn"}, 2048),
        ({"rope_type": "yarn", "factor": "4"}, 2048),
        ({"rope_type": "dynamic", "factor": 4.0}, 2048),
        ({"rope_type": "llama3", "factor": 8.0}, 2048),
        ({"factor": 4.0}, 2048),
        ({"rope_type": "yarn", **SCALED}, 4096),
        ({"rope_type": "yarn", **SCALED, "factor": 1.5}, 2048),
    ],
)
@pytest.mark.parametrize("key", ["rope_parameters", "rope_scaling"])
def test_context_length_counts_scaled_positions(
    key: str, rope: dict[str, Any], length: int
) -> None:
    assert find_context_length({"max_position_embeddings": 2048, key: rope}) == length


def test_context_length_of_gemma3_is_scaled_already() -> None:
    config = {
        "model_type": "gemma3_text",
        "max_position_embeddings": 2048,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    }
    assert find_context_length(config) == 2048
