"""The contract of packed ONNX graphs."""

from __future__ import annotations

import numpy as np

from nanoaccel.bundle.packed_graph import (
    PaddedBatch,
    cache_of,
    hidden_layer,
    hidden_name,
    past_name,
    present_name,
    present_of,
)


def test_names_of_caches_and_states_are_read_back() -> None:
    assert cache_of(past_name(3, "key")) == (3, "key")
    assert present_of(past_name(3, "value")) == present_name(3, "value")
    assert hidden_layer(hidden_name(7)) == 7


def test_names_of_other_tensors_are_none() -> None:
    assert cache_of("input_ids") is None
    assert cache_of(present_name(0, "key")) is None
    assert hidden_layer("logits") is None


def test_padded_batch_maps_tokens_to_rows_and_back() -> None:
    batch = PaddedBatch(np.array([2, 0]), np.array([3, 1]), num_rows=4)
    assert batch.query_seqlens.tolist() == [1, 0, 3, 0]
    assert batch.query_map.shape == (4, 3, 2)
    for token, (row, column) in enumerate(batch.token_map[0].tolist()):
        assert batch.query_map[row, column].tolist() == [0, token]
    assert batch.column_of_token.tolist() == [0, 1, 2, 0]
