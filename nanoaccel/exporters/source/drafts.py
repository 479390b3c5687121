"""The draft of a bundle: which one it gets, and why."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from nanoaccel.bundle import DRAFT, HEAD, Bundle, Head
from nanoaccel.errors import ExportError
from nanoaccel.exporters.targets.head_graphs import give_graphs, possible_targets
from nanoaccel.exporters.targets.table import BASE

_OWN_HEADS = Path(__file__).parent / "heads"


@dataclass(frozen=True, slots=True)
class DraftChoice:
    """What becomes a bundle's draft.

    Args:
        kind: "head", "bundle", "model" (which is exported first), or "none".
        source: Folder, or name of the model; empty without a draft.
        reason: In words.
    """

    kind: str
    source: str
    reason: str


def choose_draft(
    asked: str,
    fingerprint: str,
    targets: Sequence[str] = (BASE.name,),
    heads: Path = _OWN_HEADS,
) -> DraftChoice:
    """Find the draft that was asked for.

    Args:
        asked: "auto", "none", a head, a bundle, or a model.
        fingerprint: Fingerprint of the target.
        targets: Names of the targets that the bundle is made for.
        heads: Heads that come with NanoAccel, a folder each.

    Raises:
        ExportError: It is a head for another target, or for another runtime alone.
        BundleError: A file of it is missing or damaged.
    """
    if asked == "none":
        return DraftChoice("none", "", "none was wanted")
    if asked == "auto":
        return _own_head(fingerprint, heads)
    folder = Path(asked)
    if (folder / HEAD).is_file():
        head = Head.open(folder)
        if head.manifest.target != fingerprint:
            raise ExportError(
                f"draft={asked!r} is a head for another target: it was trained for the weights "
                f"{head.manifest.target[:12]}, these are {fingerprint[:12]}",
                "Train one: nanoaccel draft train",
            )
        _check_targets(head, targets)
        return DraftChoice("head", asked, "it was named")
    kind = "bundle" if Bundle.is_one(folder) else "model"
    return DraftChoice(kind, asked, "it was named")


def _check_targets(head: Head, targets: Sequence[str]) -> None:
    """Refuse a head that has no graph for a target, nor one that it can be made of."""
    possible = possible_targets(head.runtimes)
    for name in targets:
        if name not in possible:
            raise ExportError(
                f"draft={str(head.folder)!r} is a head for {', '.join(head.runtimes)} alone, so "
                f"that the bundle cannot be made for {name}",
                "Name the head as it was trained, or train one: nanoaccel draft train",
            )


def _own_head(fingerprint: str, heads: Path) -> DraftChoice:
    for file in sorted(heads.glob(f"*/{HEAD}")):
        head = Head.open(file.parent)
        if head.manifest.target == fingerprint:
            return DraftChoice(
                "head", str(head.folder), "it comes with NanoAccel for these weights"
            )
    return DraftChoice(
        "none",
        "",
        "NanoAccel brings no head for these weights; nanoaccel draft train makes one",
    )


def add_draft(
    choice: DraftChoice,
    folder: Path,
    export_model: Callable[[str, Path], None],
    *,
    targets: Sequence[str] = (BASE.name,),
    context: int,
) -> None:
    """Put a draft into a bundle in the making.

    Args:
        choice: The draft.
        folder: The bundle; its tokenizer is there.
        export_model: Function that makes a bundle of a model.
        targets: Names of the targets that the bundle is made for, the preferred one first.
        context: Tokens that the target can attend to.

    Raises:
        ExportError: Its tokens are not the target's, or its graph cannot be made for a runtime.
    """
    draft = folder / DRAFT
    if choice.kind == "none":
        return
    if choice.kind == "model":
        draft.mkdir()
        export_model(choice.source, draft)
    else:
        shutil.copytree(choice.source, draft)
    if choice.kind == "head" and Head.open(draft).runtimes != tuple(targets):
        give_graphs(draft, targets, context)
    if choice.kind != "head" and _tokens(Bundle.open(draft).folder) != _tokens(folder):
        raise ExportError(
            f"draft={choice.source!r} has another tokenizer than the model",
            "A draft must read and write the same tokens: name another one",
        )


def _tokens(folder: Path) -> dict[str, int]:
    tokens: dict[str, int] = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    return tokens
