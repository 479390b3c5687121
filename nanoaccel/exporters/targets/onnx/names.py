"""Inputs and outputs of a packed decoder graph; the runtime's ONNX backend reads the same.

Tokens of all sequences of a step stand one after the other, without padding; only attention sees
a padded batch. T tokens of B rows, S the most tokens of a row, R wanted rows of logits.

    input_ids              i64 [1, T]
    logits_rows            i64 [R]        tokens whose logits are wanted
    query_map              i64 [B, S, 2]  (0, t): the token at each place of the padded batch
    token_map              i64 [1, T, 2]  (b, s): where each token stands in the padded batch
    row_positions          i64 [B, S]     position of each place in its text
    positions              i64 [1, T]     only in graphs that use positions outside of attention
    seqlens_k              i32 [B]        cached and new tokens of each row, minus 1
    query_seqlens          i32 [B]        new tokens of each row; 0 where it is idle
    total_sequence_length  i32 []         most cached and new tokens of a row
    features               f32 [1, T, F]  only in graphs of heads: states of the target, and its own
    past_key_values.{i}.*  f32 [B, Hkv, C, D], bound to the same memory as present.{i}.*

    logits                 f32 [1, R, V]
    present.{i}.key/value  f32 [B, Hkv, C, D]
    hidden.{i}             f32 [1, T, H]  what layer i gives to the next
"""

from __future__ import annotations

INPUT_IDS = "input_ids"
LOGITS_ROWS = "logits_rows"
QUERY_MAP = "query_map"
TOKEN_MAP = "token_map"
ROW_POSITIONS = "row_positions"
POSITIONS = "positions"
SEQLENS_K = "seqlens_k"
QUERY_SEQLENS = "query_seqlens"
TOTAL_LENGTH = "total_sequence_length"
FEATURES = "features"
PAST = "past_key_values."
PRESENT = "present."
HIDDEN = "hidden."
LOGITS = "logits"
