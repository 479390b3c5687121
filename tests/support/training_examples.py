"""Training examples with random numbers."""

from __future__ import annotations

import numpy as np

from nanoaccel.finetune.drafts.training_examples import TrainingExample


def make_example(
    seed: int, length: int, *, width: int, vocab_size: int, prompt: int = 1, count: int = 4
) -> TrainingExample:
    """A example whose every token is the likeliest one after the token before.

    Args:
        seed: Of the dice.
        length: Tokens.
        width: Numbers of a token's features; token t has the features of token t always.
        vocab_size: Tokens that can be guessed.
        prompt: Tokens of the prompt.
        count: Tokens of the target's distribution.
    """
    random = np.random.default_rng(seed)
    tokens = [int(random.integers(vocab_size))]
    while len(tokens) < length:
        tokens.append((5 * tokens[-1] + 1) % vocab_size)
    best = (5 * np.array(tokens) + 1) % vocab_size
    likeliest = (best[:, None] + np.arange(count)) % vocab_size
    chances = np.full((length, count), 0.1 / (count - 1), np.float16)
    chances[:, 0] = 0.9
    states = np.random.default_rng(7).standard_normal((vocab_size, width))
    taught = np.arange(length) >= prompt - 1
    taught[-1] = False
    return TrainingExample(
        np.array(tokens, np.int32),
        states[tokens].astype(np.float16),
        likeliest.astype(np.int32),
        chances,
        taught,
    )
