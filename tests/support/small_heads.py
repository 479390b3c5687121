"""A head small enough to be trained in a test. Needs torch."""

from __future__ import annotations

from nanoaccel.finetune.drafts.head import HeadShape


def small_shape(vocab_size: int) -> HeadShape:
    """Two layers of 32 numbers are read."""
    return HeadShape(
        hidden=32,
        num_layers=2,
        vocab_size=vocab_size,
        heads=4,
        kv_heads=2,
        head_dim=8,
        intermediate=48,
        rope_theta=10_000.0,
        norm_eps=1e-5,
    )
