"""Tunes a bundle for this machine."""

from nanoaccel.runtime.tools.autotune.find import Tuned, tune
from nanoaccel.runtime.tools.autotune.graph_pool import KINDS, pass_seconds

__all__ = ["KINDS", "Tuned", "pass_seconds", "tune"]
