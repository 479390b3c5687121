"""Which drafters take part: the one that was named, or all that apply."""

from __future__ import annotations

from contextlib import suppress

from nanoaccel.errors import ConfigError, MissingExtraError
from nanoaccel.registry import DRAFTERS
from nanoaccel.runtime.speculation.drafters.base import DrafterContext, DrafterFactory


def select_drafters(speculation: str, context: DrafterContext) -> dict[str, DrafterFactory]:
    """What makes the drafters that take part, by their names.

    Args:
        speculation: "off", the name of a drafter, or "auto" for all registered ones that say that
            they apply.
        context: What they are asked about.

    Raises:
        ConfigError: There is no such drafter, or the draft is no folder.
        MissingExtraError: What the named drafter needs is not installed.
    """
    if speculation == "off":
        return {}
    if speculation != "auto":
        return {speculation: DRAFTERS.resolve(speculation)}
    found: dict[str, DrafterFactory] = {}
    for name in DRAFTERS.names():
        with suppress(MissingExtraError):
            factory = DRAFTERS.resolve(name)
            if hasattr(factory, "applies") and factory.applies(context):
                found[name] = factory
    return found


def layers_to_read(speculation: str, context: DrafterContext) -> tuple[int, ...]:
    """Layers of the target whose output the drafters that take part read; empty for none.

    Raises:
        ConfigError: As ``select_drafters``; or two drafters read different layers.
        BundleDamagedError: A draft is damaged.
    """
    readers: dict[str, tuple[int, ...]] = {}
    for name, factory in select_drafters(speculation, context).items():
        layers = factory.hidden_layers(context) if hasattr(factory, "hidden_layers") else ()
        if layers:
            readers[name] = layers
    if len({*readers.values()}) > 1:
        raise ConfigError(
            f"the drafters {', '.join(readers)} read different layers of the target",
            "Name one of them with speculation=",
        )
    return next(iter(readers.values()), ())
