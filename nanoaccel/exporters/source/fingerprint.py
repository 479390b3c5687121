"""Identifies the weights of a model, independent of the type they were loaded in."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SAMPLE = 1024  # numbers of each tensor


def fingerprint(model: PreTrainedModel) -> str:
    """A checksum of names, shapes and signs: rounding to another type does not change a sign."""
    digest = sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} ".encode())
        signs = tensor.flatten()[:_SAMPLE].lt(0).numpy()
        digest.update(np.packbits(signs).tobytes())
    return digest.hexdigest()
