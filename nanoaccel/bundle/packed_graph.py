"""The contract of a packed ONNX graph: what the exporter writes and ONNX Runtime's backend feeds.

Tokens of all sequences of a step stand one after the other, without padding; only attention sees
a padded batch. T tokens of B rows, S the most tokens of a row, R rows of logits that are asked for.

    input_ids              i64 [1, T]
    query_map              i64 [B, S, 2]  (0, t): the token at each index of the padded batch
    token_map              i64 [1, T, 2]  (b, s): where each token stands in the padded batch
    row_positions          i64 [B, S]     position of each index in its text; see ``long_factors``
    positions              i64 [1, T]     only in graphs that use positions outside of attention
    seqlens_k              i32 [B]        cached and new tokens of each row, minus 1
    query_seqlens          i32 [B]        new tokens of each row; 0 where it is idle
    total_sequence_length  i32 []         most cached and new tokens of a row
    logits_rows            i64 [R]        tokens whose logits are asked for
    features               f32 [1, T, F]  only in graphs of heads: states of the target, and its own
    past_key_values.{i}.*  f32 [B, Hkv, C, D], bound to the same memory as present.{i}.*

only in graphs with recurrent states, whose operators are NanoAccel's (domain "nanoaccel"; so are
experts gated by GELU): M states that sequences read or write, as a ``StateTable`` says which

    recurrent_states       f32 [slots, N]  the states of all layers, written to; that of slot 0 is 0
    seq_begins             i32 [B+1]       tokens of each sequence: from seq_begins[b] on
    state_slots            i32 [M]         likewise state_begins [B+1], state_intervals [B] and
                                           state_offsets [B]

all graphs give

    logits                 f32 [1, R, V]
    present.{i}.key/value  f32 [B, Hkv, C, D]
    hidden.{i}             f32 [1, T, H]  what layer i gives to the next
    states                 f32 [1, T, H]  what the last projection makes logits of

In graphs with ALiBi, attention_bias of GroupQueryAttention is the product of two values:

    alibi_distances        f32 [B or 1, 1, S, most cached and new tokens]  index of the key minus
                                          that of the query, among the tokens of a row
    slopes                 f32 [1, heads, 1, 1], an initializer of any name

Where shares of experts are no softmax of the largest logits, a mixture reads their logarithms,
Log(Max(shares, least)), and what it gives is multiplied with the sum of the shares, by a product
with ones, a node whose name ends as ``SHARES_TOTAL``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

INPUT_IDS = "input_ids"
QUERY_MAP = "query_map"
TOKEN_MAP = "token_map"
ROW_POSITIONS = "row_positions"
POSITIONS = "positions"
SEQLENS_K = "seqlens_k"
QUERY_SEQLENS = "query_seqlens"
TOTAL_LENGTH = "total_sequence_length"
LOGITS_ROWS = "logits_rows"
FEATURES = "features"
LOGITS = "logits"
STATES = "states"
ALIBI_DISTANCES = "alibi_distances"
RECURRENT_STATES = "recurrent_states"
SEQ_BEGINS = "seq_begins"
STATE_SLOTS, STATE_BEGINS = "state_slots", "state_begins"
STATE_INTERVALS, STATE_OFFSETS = "state_intervals", "state_offsets"
OWN_DOMAIN = "nanoaccel"  # of operators
EXPERTS, FLOAT_EXPERTS = "Experts", "FloatExperts"  # some of them
SHARES_TOTAL = "/total"
CACHE_KINDS = ("key", "value")

_PAST = re.compile(r"past_key_values\.(\d+)\.(key|value)")
_HIDDEN = re.compile(r"hidden\.(\d+)")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """An input besides the cache.

    Args:
        dtype: Type of its numbers, as numpy names it.
        shape: Numbers, or letters of the module's docstring.
        required: Whether every packed graph has it.
    """

    dtype: str
    shape: tuple[int | str, ...]
    required: bool = True


INPUTS: Mapping[str, InputSpec] = MappingProxyType(
    {
        INPUT_IDS: InputSpec("int64", (1, "T")),
        QUERY_MAP: InputSpec("int64", ("B", "S", 2)),
        TOKEN_MAP: InputSpec("int64", (1, "T", 2)),
        ROW_POSITIONS: InputSpec("int64", ("B", "S"), required=False),
        POSITIONS: InputSpec("int64", (1, "T"), required=False),
        SEQLENS_K: InputSpec("int32", ("B",)),
        QUERY_SEQLENS: InputSpec("int32", ("B",)),
        TOTAL_LENGTH: InputSpec("int32", ()),
        LOGITS_ROWS: InputSpec("int64", ("R",)),
        FEATURES: InputSpec("float32", (1, "T", "F"), required=False),
        RECURRENT_STATES: InputSpec("float32", ("slots", "N"), required=False),
        SEQ_BEGINS: InputSpec("int32", ("B+1",), required=False),
        STATE_SLOTS: InputSpec("int32", ("M",), required=False),
        STATE_BEGINS: InputSpec("int32", ("B+1",), required=False),
        STATE_INTERVALS: InputSpec("int32", ("B",), required=False),
        STATE_OFFSETS: InputSpec("int32", ("B",), required=False),
    }
)


# What operators with states read behind their other inputs, in this order.
STATE_INPUTS = (
    *(RECURRENT_STATES, SEQ_BEGINS),
    *(STATE_SLOTS, STATE_BEGINS, STATE_INTERVALS, STATE_OFFSETS),
)


def cache_shape(heads: int, width: int) -> tuple[int | str, ...]:
    """Of keys or of values of a layer: rows, heads, capacity, numbers of a head."""
    return ("B", heads, "C", width)


def past_name(layer: int, kind: str) -> str:
    """Name of the input for the cached keys or values of a layer."""
    return f"past_key_values.{layer}.{kind}"


def present_name(layer: int, kind: str) -> str:
    """Name of the output for the keys or values of a layer, new ones included."""
    return f"present.{layer}.{kind}"


def present_of(past: str) -> str:
    """Name of the output that takes the memory of a cache input.

    >>> present_of("past_key_values.3.key")
    'present.3.key'
    """
    cache = cache_of(past)
    assert cache is not None, f"{past} is no cache"
    return present_name(*cache)


def hidden_name(layer: int) -> str:
    """Name of the output for what a layer gives to the next."""
    return f"hidden.{layer}"


def cache_of(name: str) -> tuple[int, str] | None:
    """Layer and kind of a cache input, by its name; None for other inputs.

    >>> cache_of("past_key_values.3.key")
    (3, 'key')
    """
    match = _PAST.fullmatch(name)
    return None if match is None else (int(match[1]), match[2])


def hidden_layer(name: str) -> int | None:
    """The layer that an output tells of, by its name; None for other outputs.

    >>> hidden_layer("hidden.7")
    7
    """
    match = _HIDDEN.fullmatch(name)
    return None if match is None else int(match[1])


class PaddedBatch:
    """Where the tokens of a step stand in the padded batch that attention sees.

    Args:
        rows: Rows of each sequence.
        counts: Tokens of each sequence.
        num_rows: B, idle rows included.

    Attributes:
        row_of_token: Row of each token, [T].
        column_of_token: Index of each token in its row, [T].
        query_map: i64 [B, S, 2].
        token_map: i64 [1, T, 2].
        query_seqlens: i32 [B].
    """

    def __init__(self, rows: NDArray[Any], counts: NDArray[Any], num_rows: int) -> None:
        total, ends = int(counts.sum()), np.cumsum(counts)
        self.row_of_token = np.repeat(rows, counts)
        self.column_of_token = np.arange(total) - np.repeat(ends - counts, counts)
        self.query_map = np.zeros((num_rows, int(counts.max()), 2), np.int64)
        self.query_map[self.row_of_token, self.column_of_token, 1] = np.arange(total)
        places = np.stack([self.row_of_token, self.column_of_token], axis=-1)
        self.token_map = places[None].astype(np.int64)
        self.query_seqlens = np.zeros(num_rows, np.int32)
        self.query_seqlens[rows] = counts
