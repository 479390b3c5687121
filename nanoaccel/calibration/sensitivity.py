"""Estimates how much rounding one part of a model changes its predictions.

A small change d of the logits moves the predictions p by KL = d' F d / 2 nats, where F = diag(p) -
p p' is their Fisher information. With noise z of unit variance, v = sqrt(p) * z - p * (sqrt(p) . z)
has F as its covariance, so that KL is half the mean of (v . d) squared. A pass backwards with v as
the gradient of the logits gives g at what each projection gives, and v . d = sum over tokens of
g . (rounded weight - weight) x. So one pass forwards and a few backwards measure all parts at once;
to round each alone and run the model again costs a pass for each.

What the tokens of a short span add is squared together. With all tokens of a text as one span the
estimate has no bias, and would take many passes; with spans of one token it misses what they do in
common. Fisher information of weights: Martens 2020, https://arxiv.org/abs/1412.1193
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.rounding import Rounding

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_PASSES = 4  # backwards, each with other noise
_SPAN = 16  # tokens
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The effect of rounding one unit.

    Args:
        layers: Names of the modules, all of which read the same.
        kl: Divergence of the model when they alone are rounded, nats a token, with few bits.
        kl_backup: The same with the bits of the backup, from the ratio of the squared errors.
    """

    layers: tuple[str, ...]
    kl: float
    kl_backup: float


def measure_sensitivity(
    model: PreTrainedModel,
    windows: Sequence[NDArray[np.int64]],
    few: Rounding,
    backup: Rounding,
    tell: Callable[[float], None],
    passes: int = _PASSES,
) -> list[Sensitivity]:
    """Estimate how far the predictions of a model move when each of its units is rounded alone.

    A unit is a projection, or some that read the same input (q/k/v, gate/up), which are stored
    alike so that they can be one product; the embedding and the last projection are units too.

    Args:
        model: With its original weights, none of which is changed.
        windows: Token windows of one length, i64[T].
        few: What is measured.
        backup: What it is compared with.
        tell: Called with the share that is done.
        passes: Passes backwards. The more, the less the estimate depends on chance.
    """
    import torch

    tokens = torch.from_numpy(np.stack(windows))
    run = _Run(model, few, backup)
    with _frozen(model), torch.enable_grad():
        with run.watching(lambda share: tell(share / 2)):
            logits = model(tokens, use_cache=False).logits.float()
        source = torch.Generator().manual_seed(0)
        for index in range(passes):
            logits.backward(_noise(logits.detach(), source), retain_graph=index + 1 < passes)
            run.end_pass()
            tell((1 + (index + 1) / passes) / 2)
    return run.result(tokens.numel() * passes)


def _noise(logits: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Noise [B, T, V] whose covariance is the Fisher information of the predictions."""
    import torch

    chances = logits.softmax(-1)
    noise = torch.randn(logits.shape, generator=source).mul_(chances.sqrt())
    return noise.sub_(chances.mul_(noise.sum(-1, keepdim=True)))


@contextmanager
def _frozen(model: PreTrainedModel) -> Iterator[None]:
    """Inside, no weight wants a gradient."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)


@dataclass(slots=True)
class _Unit:
    """What is known of a unit.

    Args:
        names: Its modules.
        error: Sum of the squared changes of its weights.
        error_backup: The same with the bits of the backup.
        moved: What the change of each token moves in this pass, f32[tokens]; None without any.
        squares: Sum of squares of that, over spans and passes.
    """

    names: list[str] = field(default_factory=list)
    error: float = 0.0
    error_backup: float = 0.0
    moved: torch.Tensor | None = None
    squares: float = 0.0

    def watch(self, output: torch.Tensor, change: torch.Tensor) -> None:
        """Note how far a change of an output moves the predictions, in each pass."""
        if not output.requires_grad:
            return

        def moved(gradient: torch.Tensor) -> None:
            found = (gradient * change).float().sum(-1).flatten()
            self.moved = found if self.moved is None else self.moved + found

        output.register_hook(moved)

    def end_pass(self) -> None:
        """Square what this pass moved, span by span."""
        import torch

        if self.moved is None:
            return
        padded = torch.nn.functional.pad(self.moved, (0, -len(self.moved) % _SPAN))
        self.squares += float(padded.reshape(-1, _SPAN).sum(-1).square().sum())
        self.moved = None


class _Run:
    """A run of a model that is watched.

    Args:
        model: The model.
        few: Rounding whose effect is measured.
        backup: Rounding whose error is compared with that of ``few``.
    """

    def __init__(self, model: PreTrainedModel, few: Rounding, backup: Rounding) -> None:
        self._model, self._few, self._backup = model, few, backup
        self._units: dict[tuple[int, int], _Unit] = {}
        self._ends: list[_Unit] = []
        self._kept: list[Any] = []  # so that no two inputs of a block have the same address

    @contextmanager
    def watching(self, tell: Callable[[float], None]) -> Iterator[None]:
        """Watch all units inside the block.

        Args:
            tell: Called with the share of the model's blocks that have run.
        """
        prefix, blocks = _find_blocks(self._model)
        hooks = self._watch_ends()
        for index, block in enumerate(blocks):
            for name, module in block.named_modules():
                if _is_projection(module):
                    hook = partial(self._projected, f"{prefix}.{index}.{name}", index)
                    hooks.append(module.register_forward_hook(hook))

            def end(*_: Any, share: float = (index + 1) / len(blocks)) -> None:
                self._kept.clear()
                tell(share)

            hooks.append(block.register_forward_hook(end))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def end_pass(self) -> None:
        """Take up what a pass backwards moved."""
        for unit in self._all():
            unit.end_pass()

    def result(self, tokens: int) -> list[Sensitivity]:
        """Sensitivity of each unit, block by block, and of the ends of the model.

        Args:
            tokens: How many there were, in all passes.
        """
        return [
            Sensitivity(
                tuple(unit.names),
                unit.squares / 2 / tokens,
                unit.squares / 2 / tokens * unit.error_backup / max(unit.error, _EPSILON),
            )
            for unit in self._all()
        ]

    def _all(self) -> list[_Unit]:
        return [*self._units.values(), *self._ends]

    def _watch_ends(self) -> list[Any]:
        """Watch the embedding and the last projection, one unit where they share their weights."""
        names = {id(module): name for name, module in self._model.named_modules()}
        first, last = self._model.get_input_embeddings(), self._model.get_output_embeddings()
        tied = last is not None and last.weight is first.weight
        begin = end = _Unit([names[id(last if tied else first)]])
        hooks = [first.register_forward_hook(partial(self._embedded, begin))]
        if last is not None:
            end = begin if tied else _Unit([names[id(last)]])
            hooks.append(last.register_forward_hook(partial(self._change, end)))
            self._ends.append(end)
        if not tied:
            begin.error = self._few.squared_error(first.weight.detach())
            begin.error_backup = self._backup.squared_error(first.weight.detach())
            self._ends.append(begin)
        return hooks

    def _embedded(self, unit: _Unit, _: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        """Let gradients come here, and watch rows whose numbers are rounded as those of weights."""
        rows = output.detach().float()
        leaf = output.detach().requires_grad_().clone()  # some models go on in place
        unit.watch(leaf, self._few(rows) - rows)
        return leaf

    def _projected(
        self, name: str, block: int, module: Any, given: Any, output: torch.Tensor
    ) -> None:
        self._kept.append(given[0])
        unit = self._units.setdefault((block, id(given[0])), _Unit())
        unit.names.append(name)
        self._change(unit, module, given, output)

    def _change(self, unit: _Unit, module: Any, given: Any, output: torch.Tensor) -> None:
        """Watch what a product gives as the rounding of its weights would change it."""
        import torch

        stored = module.weight.detach()
        weight = stored.T if _is_transposed(module) else stored
        change = self._few(weight) - weight
        unit.error += float(torch.linalg.vector_norm(change, dtype=torch.float32)) ** 2
        unit.error_backup += self._backup.squared_error(weight)
        product = _product(output, module, given[0])
        if product is not None:
            unit.watch(product, torch.nn.functional.linear(given[0].detach(), change))


def _product(output: Any, module: Any, given: torch.Tensor) -> torch.Tensor | None:
    """The product itself: routers of experts give it beside what they make of it."""
    import torch

    if isinstance(output, torch.Tensor):
        return output
    with torch.no_grad():
        expected = torch.nn.functional.linear(given, module.weight, module.bias)
    same = (one for one in output if one.shape == expected.shape and torch.equal(one, expected))
    return next(same, None)


def _find_blocks(model: PreTrainedModel) -> tuple[str, Sequence[Any]]:
    """The longest list of modules that is in no other, a language model's blocks, and its name."""
    import torch

    lists: dict[str, Any] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{other}.") for other in lists)
        if isinstance(module, torch.nn.ModuleList) and not inside:
            lists[name] = module
    name = max(lists, key=lambda name: len(lists[name]))
    return name, lists[name]


def _is_projection(module: Any) -> bool:
    import torch

    weight = getattr(module, "weight", None)
    return isinstance(module, torch.nn.Linear) or (
        _is_transposed(module) and weight is not None and weight.ndim == 2
    )


def _is_transposed(module: Any) -> bool:
    """GPT-2 keeps its weights as [inputs, outputs]."""
    return type(module).__name__ == "Conv1D"
