"""Puts adapters into bundles, after all that can be checked before they run."""

from __future__ import annotations

import logging
from pathlib import Path

from nanoaccel.adapters.folder import Adapter, read_adapter
from nanoaccel.bundle import Bundle
from nanoaccel.bundle.adapters import put_adapter
from nanoaccel.runtime.adapters.choice import AdapterChoice
from nanoaccel.runtime.adapters.fit import fit
from nanoaccel.runtime.adapters.registry import check_base, check_name, warn_of_base
from nanoaccel.runtime.config import EngineConfig
from nanoaccel.runtime.execution.loader import open_backend, preferred
from nanoaccel.runtime.execution.target import adaptable_by

_log = logging.getLogger("nanoaccel.adapters")


def add_to_bundle(folder: Path, adapter: Path, name: str | None = None) -> str:
    """Copy an adapter into a bundle, so that it goes where the bundle goes.

    Args:
        folder: The bundle's.
        adapter: PEFT's folder.
        name: What requests shall call it; None is the name of its folder.

    Returns:
        The name.

    Raises:
        BundleError: The folder is no bundle, is in use, or cannot be written to.
        AdapterError: The adapter cannot be read, or does not fit the model.
        ConfigError: The name is taken, or cannot be one.
    """
    bundle = Bundle.open(folder)
    read = read_adapter(adapter)
    chosen = AdapterChoice.parse(str(adapter)).name if name is None else name
    check_name(chosen)
    check_base(read, bundle)
    _check_fit(read, bundle)
    warn_of_base(read, bundle)
    put_adapter(bundle.folder, chosen, adapter)
    return chosen


def _check_fit(adapter: Adapter, bundle: Bundle) -> None:
    """Compare with the graph that would run here, where that computes adapters."""
    name = preferred(bundle.runtimes)
    backend = open_backend(bundle, name, EngineConfig(), adapters=True)
    try:
        adaptable = adaptable_by(backend)
    finally:
        backend.close()
    if adaptable is None:
        _log.warning(
            "the backend %r computes no adapters here: whether %s fits shows where one does",
            name,
            adapter.folder,
        )
    else:
        fit(adapter, adaptable)
