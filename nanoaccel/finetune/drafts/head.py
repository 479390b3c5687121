"""The head in torch: one decoder layer that reads what the target's layers computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from nanoaccel.finetune.drafts.batches import Batch
from nanoaccel.finetune.drafts.draft_module import DraftModule

if TYPE_CHECKING:
    from transformers import LlamaConfig


@dataclass(frozen=True, slots=True)
class HeadShape:
    """Sizes of a head.

    Args:
        hidden: H, of the target's hidden states and of the head's own.
        num_layers: L, layers of the target that it reads.
        vocab_size: V, tokens that it can propose.
        heads: Heads of its attention.
        kv_heads: Heads that keys and values have.
        head_dim: Width of each.
        intermediate: Width of its feed-forward part.
        rope_theta: Base of its rotary embedding.
        norm_eps: Epsilon of its norms.
    """

    hidden: int
    num_layers: int
    vocab_size: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    rope_theta: float
    norm_eps: float

    def llama_config(self) -> LlamaConfig:
        """The same as a Llama of one layer, whose last token stands for all that it lacks."""
        from transformers import LlamaConfig

        return LlamaConfig(
            hidden_size=self.hidden,
            num_hidden_layers=1,
            vocab_size=self.vocab_size + 1,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            head_dim=self.head_dim,
            intermediate_size=self.intermediate,
            rope_theta=self.rope_theta,
            rms_norm_eps=self.norm_eps,
            tie_word_embeddings=True,
            max_position_embeddings=1 << 20,
        )


class DraftHead(DraftModule):
    """Guesses the token after next (EAGLE, Li et al. 2024; features of several layers as EAGLE-3).

    For each position it adds up the token that follows, the target's states there (or, past what
    the target has computed, its own state of the position before), and runs a decoder layer over
    them. The vocabulary is that of the most frequent tokens, read and guessed by one table.

    Args:
        shape: Its sizes.
    """

    rate = 1e-3

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        size, wide = shape.hidden, shape.heads * shape.head_dim
        narrow = shape.kv_heads * shape.head_dim
        self.table = nn.Embedding(shape.vocab_size + 1, size)
        self.token_in = nn.Linear(size, size, bias=False)
        self.features_in = nn.Linear(shape.num_layers * size, size, bias=False)
        self.input_norm = nn.RMSNorm(size, shape.norm_eps)
        self.q = nn.Linear(size, wide, bias=False)
        self.k = nn.Linear(size, narrow, bias=False)
        self.v = nn.Linear(size, narrow, bias=False)
        self.o = nn.Linear(wide, size, bias=False)
        self.post_norm = nn.RMSNorm(size, shape.norm_eps)
        self.gate = nn.Linear(size, shape.intermediate, bias=False)
        self.up = nn.Linear(size, shape.intermediate, bias=False)
        self.down = nn.Linear(shape.intermediate, size, bias=False)
        self.norm = nn.RMSNorm(size, shape.norm_eps)
        nn.init.normal_(self.table.weight, std=0.02)
        nn.init.eye_(self.token_in.weight)
        # Begin with the last layer's states, and a little of the others: it learns far sooner.
        with torch.no_grad():
            self.features_in.weight.mul_(0.3)[:, -size:].add_(torch.eye(size))

    def states(self, batch: Batch, depth: int) -> Iterator[Tensor]:
        attention = DepthAttention(self.shape, batch.tokens.shape[1])
        embedded = self.embed(batch.tokens)
        # The sums stay in f32, also where products are bf16.
        x = self.layer(self.features_in(batch.features).float() + embedded, attention)
        yield x
        for _ in range(depth - 1):
            x = self.layer(F.pad(x, (0, 0, 1, 0))[:, :-1] + embedded, attention)
            yield x

    def embed(self, tokens: Tensor) -> Tensor:
        """What tokens add: f32[B, T, H]."""
        embedded: Tensor = self.token_in(self.table(tokens))
        return embedded

    def layer(self, x: Tensor, attention: DepthAttention) -> Tensor:
        """Run the decoder layer: f32[B, T, H] to the same."""
        normed = self.input_norm(x)
        x = x + self.o(attention(self.q(normed), self.k(normed), self.v(normed)))
        normed = self.post_norm(x)
        gated: Tensor = x + self.down(F.silu(self.gate(normed)) * self.up(normed))
        return gated

    def logits(self, x: Tensor) -> Tensor:
        """f32[..., H] to f32[..., V]."""
        found: Tensor = self.norm(x) @ self.table.weight[: self.shape.vocab_size].T
        return found


class DepthAttention:
    """Attention of a head that drafts from every position at once.

    Depth 1 attends as any decoder does. Depth d drafts on from d-1 draft tokens: the query at
    position
    i sees depth 1 up to position i-d+1, and behind that one key of each later depth, as it would
    while drafting (training-time test, Li et al. 2025, EAGLE-3).

    Args:
        shape: Shape of the head.
        length: T.
    """

    def __init__(self, shape: HeadShape, length: int) -> None:
        self._shape = shape
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        position = torch.arange(length)
        self._behind = position[:, None] - position[None, :]
        half = torch.arange(0, shape.head_dim, 2) / shape.head_dim
        angles = position[:, None] / shape.rope_theta**half
        self._cos, self._sin = (torch.cat([f(angles)] * 2, -1) for f in (torch.cos, torch.sin))

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """One depth more: f32[B, T, heads * head_dim]."""
        shape = self._shape
        group = shape.heads // shape.kv_heads
        q = self._rotated(_split(q, shape.heads))
        self._keys.append(self._rotated(_split(k, shape.kv_heads)).repeat_interleave(group, 1))
        self._values.append(_split(v, shape.kv_heads).repeat_interleave(group, 1))
        depth = len(self._keys)
        scores = q @ self._keys[0].transpose(-1, -2)
        scores = scores.masked_fill(self._behind < depth - 1, -torch.inf)
        later = [
            (q * _shifted(keys, depth - own)).sum(-1, keepdim=True)
            for own, keys in enumerate(self._keys[1:], 2)
        ]
        scores = torch.cat([scores, *later], -1) / shape.head_dim**0.5
        weights = scores.softmax(-1)
        length = q.shape[2]
        out = weights[..., :length] @ self._values[0]
        for step, values in enumerate(self._values[1:]):
            weight = weights[..., length + step : length + step + 1]
            out = out + weight * _shifted(values, depth - step - 2)
        return out.transpose(1, 2).flatten(2)

    def _rotated(self, x: Tensor) -> Tensor:
        one, other = x.chunk(2, -1)
        return x * self._cos + torch.cat([-other, one], -1) * self._sin


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _shifted(x: Tensor, distance: int) -> Tensor:
    """Each position gets what stood so many positions before it; the first ones get zeros."""
    return x if distance == 0 else F.pad(x, (0, 0, distance, 0))[:, :, : x.shape[2]]
