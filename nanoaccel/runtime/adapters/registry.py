"""The adapters of a model by name: what requests may ask for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nanoaccel.adapters.folder import Adapter, fingerprint_of, read_adapter
from nanoaccel.bundle import Bundle
from nanoaccel.bundle.folded_scales import check_told
from nanoaccel.errors import AdapterError, ConfigError, RequestError
from nanoaccel.registry import BACKENDS, did_you_mean
from nanoaccel.runtime.adapters.fit import fit
from nanoaccel.runtime.types.low_rank import LowRankUpdate

_log = logging.getLogger("nanoaccel.adapters")


@dataclass(frozen=True, slots=True)
class RegisteredAdapter:
    """What a name stands for.

    Args:
        name: What requests call it.
        folder: Where it is.
        fingerprint: Names its content, as it was when it was registered.
    """

    name: str
    folder: Path
    fingerprint: str

    @property
    def cache_key(self) -> bytes:
        """What the keys of blocks begin with that were computed with it."""
        return b"adapter " + bytes.fromhex(self.fingerprint)


class AdapterRegistry:
    """Adapters by name. Any thread may call it.

    Args:
        bundle: The model.
        adaptable: As of ``AdapterHolder``; None or empty where the backend cannot hold adapters.
        backend: Its name, for errors.
    """

    def __init__(
        self, bundle: Bundle, adaptable: Mapping[str, tuple[int, int]] | None, backend: str
    ) -> None:
        self._bundle = bundle
        self._adaptable = {} if adaptable is None else dict(adaptable)
        self._backend = backend
        self._lock = threading.Lock()
        self._known: dict[str, RegisteredAdapter] = {}
        for name, files in bundle.adapters().items():
            fingerprint = fingerprint_of(files.config_sha256, files.weights_sha256)
            self._known[name] = RegisteredAdapter(name, files.folder, fingerprint)

    @property
    def adaptable(self) -> Mapping[str, tuple[int, int]]:
        """As given; empty where the backend cannot hold adapters."""
        return self._adaptable

    def all(self) -> tuple[RegisteredAdapter, ...]:
        """All of them, in the order in which they came."""
        with self._lock:
            return tuple(self._known.values())

    def add(self, name: str, folder: Path) -> None:
        """Read an adapter, check it, and give it a name; its weights are not kept.

        Raises:
            ConfigError: The name is taken or empty, or the backend cannot hold adapters.
            AdapterError: The adapter cannot be read, or does not fit the model.
        """
        self.check_able()
        self._check_name(name)
        adapter = read_adapter(folder)
        check_base(adapter, self._bundle)
        fit(adapter, self._adaptable)
        warn_of_base(adapter, self._bundle)
        made = RegisteredAdapter(name, folder.resolve(), adapter.fingerprint)
        with self._lock:
            self._check_name(name)
            self._known[name] = made

    def add_all(self, folders: Mapping[str, Path] | None) -> None:
        """Add what was given as the bundle was opened; as ``add``.

        Args:
            folders: By name; None where nothing was asked for.
        """
        if folders is not None:
            self.check_able()
            for name, folder in folders.items():
                self.add(name, folder)

    def remove(self, name: str) -> None:
        """Forget a name.

        Raises:
            ConfigError: There is no such adapter.
        """
        with self._lock:
            if self._known.pop(name, None) is None:
                raise ConfigError(*_unknown(name, self._known))

    def set(self, adapters: tuple[RegisteredAdapter, ...]) -> None:
        """Have these, which another registry has checked, and no others."""
        with self._lock:
            self._known = {one.name: one for one in adapters}

    def find(self, name: str) -> RegisteredAdapter:
        """What a request means.

        Raises:
            RequestError: There is no such adapter, or the backend cannot hold any.
        """
        with self._lock:
            found = self._known.get(name)
            if found is None:
                raise RequestError(*_unknown(name, self._known))
        try:
            self.check_able()
        except ConfigError as error:
            raise RequestError(error.problem, error.remedy) from None
        return found

    def load(self, adapter: RegisteredAdapter) -> dict[str, LowRankUpdate]:
        """Read what was registered, under the names of the backend.

        Raises:
            AdapterError: It cannot be read, does not fit, or is another one by now.
        """
        read = read_adapter(adapter.folder)
        if read.fingerprint != adapter.fingerprint:
            raise AdapterError(
                f"{adapter.folder} has changed since it became the adapter {adapter.name!r}",
                "Remove it, and add it again",
            )
        check_base(read, self._bundle)
        return fit(read, self._adaptable)

    def check_able(self) -> None:
        """Raises ConfigError where the backend, or the graph that it runs, cannot hold adapters."""
        if self._adaptable:
            return
        if BACKENDS.facts(self._backend).graph is not None:
            check_told(self._bundle.graph_for(self._backend))
        raise ConfigError(
            f"the backend {self._backend!r}, as it was opened, computes no adapters",
            "Open it with adapters={} and a backend that does, or merge the adapter: "
            "nanoaccel merge MODEL ADAPTER OUT",
        )

    def _check_name(self, name: str) -> None:
        check_name(name)
        if name in self._known:
            raise ConfigError(
                f"there is an adapter {name!r} already: {self._known[name].folder}",
                "Choose another name, or remove it first",
            )


def check_name(name: str) -> None:
    """Raises ConfigError unless an adapter may be called so: it is part of paths and of URLs."""
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if not plain.isalnum() or not name.isascii() or name.startswith("."):
        raise ConfigError(
            f"{name!r:.80} is no name for an adapter", "Use letters, digits, '-', '_' and '.'"
        )


def check_base(adapter: Adapter, bundle: Bundle) -> None:
    """Refuse an adapter of another base, as far as it says what it belongs to.

    Args:
        adapter: As it was read.
        bundle: The model.

    Raises:
        AdapterError: It was trained on other weights.
    """
    manifest = bundle.manifest
    own = None if manifest is None else manifest.target.fingerprint
    if own is not None and adapter.base is not None and own != adapter.base.fingerprint:
        raise AdapterError(
            f"{adapter.folder} was trained on {adapter.base.id!r}, whose weights are not those "
            f"that {bundle.folder} was made from",
            "Export its base, or train it again on this model",
        )


def warn_of_base(adapter: Adapter, bundle: Bundle) -> None:
    """Say in the log that an adapter which fits names another base, and no weights of it.

    Args:
        adapter: As it was read.
        bundle: The model.
    """
    manifest = bundle.manifest
    if manifest is None or (manifest.target.fingerprint is not None and adapter.base is not None):
        return
    source = manifest.source.get("id")
    if adapter.base_name is None or source is None:
        return
    if _last(adapter.base_name) != _last(source):
        _log.warning(
            "%s names the base %r, and %s was made from %r: its shapes fit; whether it belongs to "
            "it nobody can tell",
            adapter.folder,
            adapter.base_name,
            bundle.folder,
            source,
        )


def _last(name: str) -> str:
    """The last part of an id or a path, whose owner may differ."""
    return name.rstrip("/").replace("\\", "/").rpartition("/")[2].lower()


def _unknown(name: str, known: Mapping[str, RegisteredAdapter]) -> tuple[str, str]:
    """The problem and the remedy."""
    remedy = "This model has none; add it first" if not known else did_you_mean(name, list(known))
    return f"there is no adapter {name!r:.80}", remedy
