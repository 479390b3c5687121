"""Tunes a bundle for this machine."""

from nanoaccel.runtime.tools.autotune.find import Tuned, tune
from nanoaccel.runtime.tools.autotune.pass_seconds import KINDS

__all__ = ["KINDS", "Tuned", "tune"]
