"""Named extension points: what can be replaced or added, by the project itself and by plugins.

``points`` is the page that lists them all.
"""

from nanoaccel.closest import did_you_mean
from nanoaccel.registry.backends import BackendFacts, BackendPoint
from nanoaccel.registry.extension_point import ExtensionPoint
from nanoaccel.registry.named_imports import NamedImports
from nanoaccel.registry.plugin import Plugin, all_plugins
from nanoaccel.registry.points import (
    ADAPTER_METHODS,
    BACKENDS,
    CALIBRATION_SOURCES,
    COMMANDS,
    COMPRESSION_METHODS,
    DRAFTERS,
    ENGINE_CHECKS,
    EVENT_LISTENERS,
    EVICTION_POLICIES,
    EXPORT_TARGETS,
    GRAMMARS,
    LOGITS_PROCESSORS,
    MODEL_SOURCES,
    OPERATORS,
    POINTS,
    SERVER_ROUTES,
)
from nanoaccel.registry.switches import disable_plugins

__all__ = [
    "ADAPTER_METHODS",
    "BACKENDS",
    "CALIBRATION_SOURCES",
    "COMMANDS",
    "COMPRESSION_METHODS",
    "DRAFTERS",
    "ENGINE_CHECKS",
    "EVENT_LISTENERS",
    "EVICTION_POLICIES",
    "EXPORT_TARGETS",
    "GRAMMARS",
    "LOGITS_PROCESSORS",
    "MODEL_SOURCES",
    "OPERATORS",
    "POINTS",
    "SERVER_ROUTES",
    "BackendFacts",
    "BackendPoint",
    "ExtensionPoint",
    "NamedImports",
    "Plugin",
    "all_plugins",
    "did_you_mean",
    "disable_plugins",
]
