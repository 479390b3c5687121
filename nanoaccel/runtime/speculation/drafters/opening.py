"""Opens the draft of a target, and refuses one that does not fit it."""

from __future__ import annotations

from pathlib import Path

from nanoaccel.bundle import HEAD, Bundle, Head, HeadManifest, weights_size
from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends import BackendInfo
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.cpu.memory import free_memory
from nanoaccel.runtime.execution.loader import CacheSize, LoadedModel, load, preferred
from nanoaccel.runtime.speculation.drafters.base import DrafterOptions, DraftOptions
from nanoaccel.runtime.speculation.drafters.draft_graph import DraftGraph
from nanoaccel.text import Tokenizer

_REMEDY = "Name another draft, or none"
# Memory that a graph takes, in sizes of its file: the runtime packs the weights once more.
_PACKED = 2


def kind_of(draft: Path) -> str:
    """The drafter that runs what is in a folder.

    Raises:
        ConfigError: There is no such folder.
    """
    if not draft.is_dir():
        raise ConfigError(f"draft={str(draft)!r} is not a folder", _REMEDY)
    return "head" if (draft / HEAD).is_file() else "draft_model"


def check_draft(folder: Path, target: Bundle) -> None:
    """Refuse what cannot be the draft of a target; nothing is loaded.

    Raises:
        ConfigError: There is no such folder, its tokens are not the target's, or it is a head for
            another target.
        BundleError: It is not a bundle, or a file of it is missing or damaged.
    """
    if kind_of(folder) == "head":
        _fitting_head(folder, target)
    else:
        _fitting_model(folder, target)


def open_head(options: DrafterOptions, window: int) -> tuple[HeadManifest, DraftGraph]:
    """Load the head that the options name.

    Args:
        options: With a draft.
        window: Tokens that it reads at once at most.

    Raises:
        ConfigError: It was trained for another target, or does not fit in memory.
        BundleError: A file of it is missing or damaged.
    """
    draft = _given(options, "head")
    head = _fitting_head(draft.folder, draft.target)
    about = head.manifest
    features = about.feature_size + about.hidden_size
    graph = _load(head, draft)
    graph.warm_up(window, features)
    return about, graph


def open_draft_model(options: DrafterOptions) -> DraftGraph:
    """Load the draft model that the options name.

    Raises:
        ConfigError: Its tokens are not the target's, or it does not fit in memory.
        BundleError: It is not a bundle, or a file of it is missing or damaged.
    """
    draft = _given(options, "draft_model")
    bundle = _fitting_model(draft.folder, draft.target)
    graph = _load(bundle, draft)
    graph.warm_up(1)
    return graph


def _fitting_head(folder: Path, target: Bundle) -> Head:
    head, weights = Head.open(folder), target.fingerprint()
    if weights is None:
        raise ConfigError(
            f"{target.folder} does not say which weights it was made from, so no head is known to "
            "fit it",
            "Export it again",
        )
    if head.manifest.target != weights:
        raise ConfigError(
            f"{folder} is a head for another target: it was trained for the weights "
            f"{head.manifest.target[:12]}, {target.folder} has {weights[:12]}",
            "Train one: nanoaccel draft train",
        )
    return head


def _fitting_model(folder: Path, target: Bundle) -> Bundle:
    bundle = Bundle.open(folder)
    if _tokens(bundle) != _tokens(target):
        raise ConfigError(
            f"{folder} has another tokenizer than {target.folder}",
            "A draft must read and write the same tokens: name another one",
        )
    return bundle


def _given(options: DrafterOptions, drafter: str) -> DraftOptions:
    if options.draft is None:
        raise ConfigError(
            f"speculation={drafter!r} needs a draft, and the bundle has none",
            "Name one with draft=",
        )
    found = kind_of(options.draft.folder)
    if found != drafter:
        raise ConfigError(
            f"speculation={drafter!r} cannot run {options.draft.folder}: it is for {found!r}",
            _REMEDY,
        )
    return options.draft


def memory_of(draft: Path) -> int:
    """About the bytes that a draft takes in memory, without its cache.

    Raises:
        BundleError: It is damaged.
    """
    head = (draft / HEAD).is_file()
    return _needed(Head.open(draft).graph if head else Bundle.open(draft).graph)


def _needed(graph: Path) -> int:
    return _PACKED * weights_size(graph)


def _load(source: Head | Bundle, draft: DraftOptions) -> DraftGraph:
    """Load a draft's graph for the target's backend, or for another one where it has none."""
    config = EngineConfig(threads=draft.threads, precision=draft.precision, speculation="off")
    names = [draft.backend] if draft.backend in source.runtimes else source.runtimes
    return DraftGraph(_load_graph(source, preferred(names), config, draft))


def _load_graph(
    source: Head | Bundle, name: str, config: EngineConfig, draft: DraftOptions
) -> LoadedModel:
    _check_memory("", _needed(source.graph_for(name)), draft)

    def num_blocks(info: BackendInfo) -> int:
        _check_memory("the cache of ", draft.num_blocks * info.bytes_per_block, draft)
        return draft.num_blocks

    size = CacheSize(num_blocks, draft.target.context_length)
    model = load(source, name, config, size, role="draft")
    if model.shape.num_states > 0:
        model.backend.close()
        raise ConfigError(
            f"the draft {draft.folder} has recurrent states, which drafts do not roll back", _REMEDY
        )
    return model


def _check_memory(part: str, needed: int, draft: DraftOptions) -> None:
    free = free_memory()
    if needed > free:
        raise ConfigError(
            f"{part}the draft {draft.folder} needs about {needed} bytes of memory, {free} are free",
            _REMEDY,
        )


def _tokens(bundle: Bundle) -> dict[str, int]:
    return Tokenizer.load(bundle.tokenizer_folder).vocabulary()
