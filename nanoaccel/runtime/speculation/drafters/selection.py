"""Which drafters take part: the one that was named, or all that apply."""

from __future__ import annotations

from collections.abc import Mapping

from nanoaccel.errors import ConfigError
from nanoaccel.registry import DRAFTERS
from nanoaccel.runtime.speculation.drafters.base import (
    Drafter,
    DrafterContext,
    DrafterFactory,
    DrafterOptions,
)


def select_drafters(speculation: str, context: DrafterContext) -> dict[str, DrafterFactory]:
    """What makes the drafters that take part, by their names.

    Args:
        speculation: "off", the name of a drafter, or "auto" for all registered ones that say that
            they apply.
        context: What they are asked about.

    Raises:
        ConfigError: There is no such drafter, or the draft is no folder.
        MissingExtraError: What the named drafter needs is not installed.
        PluginError: The named drafter cannot be used.
    """
    if speculation == "off":
        return {}
    if speculation != "auto":
        return {speculation: DRAFTERS.resolve(speculation)}
    found: dict[str, DrafterFactory] = {}
    for name, factory in DRAFTERS.usable():
        with DRAFTERS.guard(name):
            if hasattr(factory, "applies") and factory.applies(context):
                found[name] = factory
    return found


def make_drafters(
    speculation: str, factories: Mapping[str, DrafterFactory], options: DrafterOptions
) -> list[Drafter]:
    """Make the drafters that take part.

    Args:
        speculation: As for ``select_drafters``; with "auto", a plugin that fails is switched off.
        factories: As that gave them.
        options: What they are made with.

    Raises:
        NanoAccelError: A built-in drafter cannot be had with these options.
        PluginError: The drafter that was named failed.
    """
    made: list[Drafter] = []
    for name, factory in factories.items():
        guard = DRAFTERS.guard(name) if speculation == "auto" else DRAFTERS.named(name)
        with guard:
            drafter = factory(options)
            DRAFTERS.check_made(name, drafter)
            made.append(drafter)
    return made


def layers_to_read(speculation: str, context: DrafterContext) -> tuple[int, ...]:
    """Layers of the target whose output the drafters that take part read; empty for none.

    Raises:
        ConfigError: As ``select_drafters``; or two drafters read different layers.
        BundleDamagedError: A draft is damaged.
    """
    readers: dict[str, tuple[int, ...]] = {}
    for name, factory in select_drafters(speculation, context).items():
        with DRAFTERS.guard(name):
            layers = factory.hidden_layers(context) if hasattr(factory, "hidden_layers") else ()
            if layers:
                readers[name] = layers
    if len({*readers.values()}) > 1:
        raise ConfigError(
            f"the drafters {', '.join(readers)} read different layers of the target",
            "Name one of them with speculation=",
        )
    return next(iter(readers.values()), ())
