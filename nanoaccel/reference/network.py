"""A model of transformers that runs the tokens of several sequences in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nanoaccel.errors import BundleError
from nanoaccel.reference import attention as cached
from nanoaccel.reference.attention import CachedAttention, Part
from nanoaccel.reference.checkpoint import unsupported
from nanoaccel.reference.layers import find_layers, inputs_of
from nanoaccel.runtime.backends import BackendOptions
from nanoaccel.runtime.types.plan import StepPlan, StepResult

# Tokens of each of the two texts that are computed at load.
_TEXT = 8


class Network:
    """A loaded model, with attention over caches.

    Args:
        model: Loaded with the attention function of ``layers``.
        options: Options of the backend.

    Attributes:
        model: The same.
        dtype: Type of its weights.
        layers: Its attention layers.
        attention: What they share.

    Raises:
        UnsupportedModelError: It does what is not known to be exact.
        BundleError: It has no such layer as a head reads.
    """

    def __init__(self, model: Any, options: BackendOptions) -> None:
        self._folder = options.graph.parent
        self.model = model
        self.dtype: torch.dtype = model.dtype
        self.layers = find_layers(model, self._folder)
        self.attention = CachedAttention([layer.window for layer in self.layers])
        model.set_attn_implementation(cached.NAME)
        for index, layer in enumerate(self.layers):
            setattr(layer.module, cached.PLACE, self.attention.place(index))
        self._inputs = inputs_of(model)
        self._hidden: dict[int, Tensor] = {}
        self._projected: Tensor | None = None
        model.get_output_embeddings().register_forward_pre_hook(self._keep_projected)
        self._told = options.hidden_layers
        for told in self._told:
            self._tell(told)

    @property
    def decoders(self) -> list[Any]:
        """The modules of its decoder layers, in the order in which they run."""
        return [self.model.get_submodule(layer.decoder) for layer in self.layers]

    @property
    def vocab_size(self) -> int:
        """Width of a row of logits."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    @property
    def looked_up_bytes(self) -> int:
        """Bytes of the embedding, unless the last projection has the same weights."""
        rows, matrix = (
            self.model.get_input_embeddings().weight,
            self.model.get_output_embeddings().weight,
        )
        return 0 if rows is matrix else int(rows.nbytes)

    @property
    def state_size(self) -> int:
        """Numbers that the last projection reads for a token."""
        return int(self.model.get_output_embeddings().weight.shape[1])

    def bind(self, tensors: Sequence[NDArray[Any]]) -> None:
        """Use memory for the cache: keys and values in turns, [slots, heads, tokens, width]."""
        views = [torch.from_numpy(tensor).view(self.dtype) for tensor in tensors]
        self.attention.bind(views[::2], views[1::2])

    def run(self, plan: StepPlan, parts: Sequence[Part], size: int) -> StepResult:
        """Compute a pass.

        Args:
            plan: What is computed.
            parts: Its sequences.
            size: Tokens that the pass is padded to.
        """
        tokens = len(plan.token_ids)
        ids, positions = torch.zeros((2, size), dtype=torch.int64)
        ids[:tokens] = torch.from_numpy(plan.token_ids)
        positions[:tokens] = torch.from_numpy(plan.positions)
        self.attention.begin(parts)
        with torch.inference_mode():
            rows = torch.from_numpy(plan.logits_rows)
            logits = self._logits(ids, positions, torch.arange(tokens) if plan.states else rows)
            states = None
            if plan.states:
                assert self._projected is not None, "the logits are a projection"
                logits, states = logits[rows], self._projected.reshape(-1, self.state_size)[:tokens]
            hidden = [self._hidden[layer][0, :tokens] for layer in self._told]
            told = torch.cat(hidden, dim=-1).float().numpy() if hidden else None
        self._hidden.clear()
        self._projected = None
        return StepResult(
            logits=logits.float().numpy(),
            hidden=told,
            states=None if states is None else states.float().numpy(),
        )

    def check_apart(self, rounding: float) -> None:
        """Compute two texts at once, to see that they know nothing of each other; and one token.

        What is compiled, is compiled here.

        Args:
            rounding: How much the same tokens may differ from row to row of a pass, in parts of
                the largest logit.

        Raises:
            UnsupportedModelError: They do: something beside attention mixes tokens, or positions
                are not what they are told.
        """
        tokens, kinds = (
            _TEXT,
            [(one.key_heads, one.key_width, one.value_width) for one in self.layers],
        )
        keys = [torch.zeros((2, heads, tokens, width)) for heads, width, _ in kinds]
        values = [torch.zeros((2, heads, tokens, width)) for heads, _, width in kinds]
        to = self.dtype
        self.attention.bind([key.to(to) for key in keys], [value.to(to) for value in values])
        self.attention.begin([Part(0, tokens, 0, 0), Part(tokens, 2 * tokens, 1, 0)])
        ids = torch.arange(1, tokens + 1)
        with torch.inference_mode():
            logits = self._logits(
                ids.repeat(2), torch.arange(tokens).repeat(2), torch.arange(2 * tokens)
            ).float()
            self.attention.begin([Part(0, 1, 0, 0)])
            self._logits(ids[:1], torch.arange(1), torch.arange(1))
        self._hidden.clear()
        far = (logits[:tokens] - logits[tokens:]).abs().max()
        if not bool(far <= rounding * logits.abs().max()):
            raise unsupported(
                self._folder, f"{type(self.model).__name__} mixes the tokens of different texts"
            )

    def _logits(self, ids: Tensor, positions: Tensor, rows: Tensor) -> Tensor:
        """[R, V]."""
        inputs = self._inputs(ids, positions, rows)
        found: Tensor = self.model(**inputs).logits[0]
        return found if "logits_to_keep" in inputs else found[rows]

    def _keep_projected(self, _module: Any, inputs: Any) -> None:
        """Keep what the last projection reads."""
        self._projected = inputs[0]

    def _tell(self, layer: int) -> None:
        """Keep what a decoder layer gives."""
        if layer >= len(self.layers):
            raise BundleError(
                f"{self._folder} has no layer {layer}: its head cannot run", "Name another draft"
            )

        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            self._hidden[layer] = output if isinstance(output, Tensor) else output[0]

        self.decoders[layer].register_forward_hook(keep)
