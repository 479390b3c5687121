"""What a config.json says of attention."""

from __future__ import annotations

from typing import Any

import pytest

from nanoaccel.bundle.attention import (
    alibi_slopes,
    layer_windows,
    long_border,
    paging_obstacle,
    state_obstacle,
    uniform_length,
)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"model_type": "gemma2", "attn_logit_softcapping": 50.0}, "attn_logit_softcapping=50.0"),
        ({"model_type": "falcon", "alibi": True}, "alibi=True"),
        ({"model_type": "mpt", "attn_config": {"clip_qkv": 6.0}}, "clip_qkv"),
    ],
)
def test_obstacle_names_what_cannot_be_paged(config: dict[str, Any], named: str) -> None:
    assert named in str(paging_obstacle(config))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"model_type": "new", "layer_types": ["retention", "full_attention"]}, "retention"),
        ({"model_type": "new", "layers_block_type": ["rwkv", "attention"]}, "rwkv"),
    ],
)
def test_obstacle_names_what_no_engine_keeps(config: dict[str, Any], named: str) -> None:
    assert named in str(state_obstacle(config))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model_type": "gemma2", "attn_logit_softcapping": None},
        {"model_type": "falcon", "alibi": False},
        {"model_type": "lfm2", "layer_types": ["conv", "full_attention"]},
        {"model_type": "zamba2", "layers_block_type": ["hybrid", "mamba"]},
        {"model_type": "gemma3_text", "layer_types": ["sliding_attention", "full_attention"]},
    ],
)
def test_obstacle_is_none_where_attention_is_plain(config: dict[str, Any]) -> None:
    assert paging_obstacle(config) is None
    assert state_obstacle(config) is None


def test_layer_windows_are_gpt_neos_local_layers() -> None:
    config = {
        "model_type": "gpt_neo",
        "window_size": 256,
        "attention_types": [[["global", "local"], 2]],
    }
    assert layer_windows(config) == [0, 256, 0, 256]
    assert layer_windows({"model_type": "mistral", "sliding_window": 64}) is None


def test_alibi_slopes_are_mpts() -> None:
    config = {"model_type": "mpt", "n_heads": 4, "attn_config": {"alibi": True}}
    assert alibi_slopes(config) == [0.25, 0.0625, 0.015625, 0.00390625]
    odd = alibi_slopes({**config, "n_heads": 3})
    assert odd == [0.0625, 0.00390625, 0.25]
    assert alibi_slopes({**config, "attn_config": {"alibi": False}}) is None
    gentle = {**config, "attn_config": {"alibi": True, "alibi_bias_max": 4}}
    assert alibi_slopes(gentle) == [0.5, 0.25, 0.125, 0.0625]


def test_alibi_slopes_are_blooms() -> None:
    config = {"model_type": "bloom", "n_head": 4}
    assert alibi_slopes(config) == [0.25, 0.0625, 0.015625, 0.00390625]
    odd = alibi_slopes({"model_type": "bloom", "num_attention_heads": 6})
    assert odd == [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({"max_position_embeddings": 4096}, None),
        ({"rope_scaling": {"type": "su"}, "original_max_position_embeddings": 64}, 64),
        (
            {
                "rope_parameters": {
                    "rope_type": "longrope",
                    "original_max_position_embeddings": 256,
                }
            },
            256,
        ),
        (
            {
                "max_position_embeddings": 512,
                "rope_parameters": {"full_attention": {"rope_type": "dynamic"}},
            },
            512,
        ),
        ({"rope_parameters": {"rope_type": "yarn", "original_max_position_embeddings": 64}}, None),
        ({"rope_parameters": {"rope_type": "dynamic"}}, None),
        ({"layer_types": ["chunked_attention"], "attention_chunk_size": 128}, 128),
    ],
)
def test_uniform_length_ends_where_the_whole_text_changes(
    config: dict[str, Any], length: int | None
) -> None:
    found = uniform_length(config)
    assert (None if found is None else found[0]) == length


@pytest.mark.parametrize(("kind", "length"), [("phi3", None), ("phimoe", 64)])
def test_uniform_length_goes_on_where_a_graph_tells_long_texts(
    kind: str, length: int | None
) -> None:
    rope = {"rope_type": "longrope", "original_max_position_embeddings": 64}
    config = {"model_type": kind, "rope_parameters": rope}
    found = uniform_length(config, long_factors=True)
    assert (None if found is None else found[0]) == length
    assert long_border(config) == 64
