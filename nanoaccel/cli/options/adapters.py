"""Options of adapters: which one answers, or which ones are served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from nanoaccel.cli.options.panels import in_engine
from nanoaccel.errors import ConfigError

if TYPE_CHECKING:
    from nanoaccel.runtime.adapters.choice import AdapterChoice
    from nanoaccel.runtime.scheduling.options import RequestOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterOptions:
    """The adapter that all is computed with; the default is none."""

    adapter: Annotated[
        str | None,
        in_engine(
            metavar="NAME|DIR", help="An adapter to answer with: one of the bundle's, or a folder."
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``.

        Raises:
            ConfigError: ``--adapter`` names a folder that is not there.
        """
        choice = self._choice()
        return {} if choice is None or choice.folders is None else {"adapters": choice.folders}

    def request(self) -> RequestOptions:
        """How requests are treated.

        Raises:
            ConfigError: ``--adapter`` names a folder that is not there.
        """
        from nanoaccel.runtime.scheduling.options import RequestOptions

        choice = self._choice()
        return RequestOptions(adapter=None if choice is None else choice.name)

    def _choice(self) -> AdapterChoice | None:
        if self.adapter is None:
            return None
        from nanoaccel.runtime.adapters.choice import AdapterChoice

        return AdapterChoice.parse(self.adapter)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAdapterOptions:
    """The adapters that requests may name; None is as set, or the default of ``LLM``."""

    adapter: Annotated[
        list[str] | None,
        in_engine(
            metavar="[NAME=]DIR",
            help="An adapter beside those in the bundle, asked for as the model BUNDLE:NAME; may "
            "be repeated.",
        ),
    ] = None
    max_loaded_adapters: Annotated[
        int | None,
        in_engine(
            help="Adapters in memory at once; others are loaded as they are needed.",
            show_default="16",
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for ``LLM``.

        Raises:
            ConfigError: ``--adapter`` names no folder, or two have one name.
        """
        found: dict[str, Any] = {"max_loaded_adapters": self.max_loaded_adapters}
        if self.adapter:
            found["adapters"] = self._folders(self.adapter)
        return found

    def _folders(self, given: list[str]) -> dict[str, Any]:
        from nanoaccel.runtime.adapters.choice import AdapterChoice

        folders: dict[str, Any] = {}
        for text in given:
            choice = AdapterChoice.parse(text)
            if choice.folder is None:
                raise ConfigError(
                    f"--adapter {text}: there is no such folder",
                    "Adapters in the bundle are served without being named",
                )
            if choice.name in folders:
                raise ConfigError(
                    f"--adapter: two are named {choice.name!r}", "Write --adapter NAME=DIR"
                )
            folders[choice.name] = choice.folder
        return folders
