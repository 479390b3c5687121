"""Trains a draft on examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from time import perf_counter

import torch

from nanoaccel.finetune.drafts.batches import collate, plan_batches
from nanoaccel.finetune.drafts.draft_module import DraftModule
from nanoaccel.finetune.drafts.training_examples import TrainingExample
from nanoaccel.folders import whole_file

_WARM_UP = 40  # batches
_DEPTH_WEIGHT = 0.8
_SAVE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How long and how deep.

    Args:
        epochs: Times that each example is taught.
        depth: Guesses in a row that the last part of the training unrolls.
        deep_share: How large that part is.
        seed: Seed of the order.
    """

    epochs: int = 6
    depth: int = 3
    deep_share: float = 0.4
    seed: int = 0


def train(
    module: DraftModule,
    examples: Sequence[TrainingExample],
    options: TrainingOptions,
    checkpoint: Path,
    progress: Callable[[float], None],
    save_seconds: float = _SAVE_SECONDS,
) -> None:
    """Teach a draft, in place; a run that was stopped goes on from its checkpoint.

    The loss is the cross entropy to the target's own distribution, at each depth.

    Args:
        module: What learns.
        examples: To learn from.
        options: How long and how deep.
        checkpoint: Where it is saved.
        progress: Called after each batch with the share that is done.
        save_seconds: Time between two saves.
    """
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=module.rate, betas=(0.9, 0.95), weight_decay=0.01
    )
    batches = [
        batch
        for epoch in range(options.epochs)
        for batch in plan_batches(examples, options.seed, epoch)
    ]
    begin = _restore(checkpoint, module, optimizer, options)
    saved = perf_counter()
    module.train()
    for step in range(begin, len(batches)):
        done = step / len(batches)
        for group in optimizer.param_groups:
            group["lr"] = module.rate * _share(step, len(batches))
        depth = options.depth if done >= 1 - options.deep_share else 1
        batch = collate([examples[index] for index in batches[step]])
        with torch.autocast("cpu", torch.bfloat16, enabled=_multiplies_bf16()):
            losses = module.losses(batch, depth)
        optimizer.zero_grad()
        torch.stack([_DEPTH_WEIGHT**d * one for d, one in enumerate(losses)]).sum().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        progress((step + 1) / len(batches))
        if perf_counter() - saved > save_seconds or step + 1 == len(batches):
            saved = perf_counter()
            _save(checkpoint, module, optimizer, options, step + 1)


@cache
def _multiplies_bf16() -> bool:
    """Whether the CPU multiplies bf16 natively: twice as fast then, much slower otherwise."""
    known: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def _share(step: int, steps: int) -> float:
    """Share of the learning rate: a short warm-up, then a cosine."""
    falling = 0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2
    return min(1.0, (step + 1) / _WARM_UP) * falling


def _save(
    path: Path,
    module: DraftModule,
    optimizer: torch.optim.Optimizer,
    options: TrainingOptions,
    step: int,
) -> None:
    state = {
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "options": asdict(options),
        "step": step,
    }
    with whole_file(path) as partial:
        torch.save(state, partial)


def _restore(
    path: Path, module: DraftModule, optimizer: torch.optim.Optimizer, options: TrainingOptions
) -> int:
    """Steps that were done already."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if state["options"] != asdict(options):
        return 0
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
