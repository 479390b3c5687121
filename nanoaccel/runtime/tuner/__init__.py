"""Tunes a bundle for this machine."""

from nanoaccel.runtime.tuner.find import Tuned, tune
from nanoaccel.runtime.tuner.rig import KINDS, pass_seconds

__all__ = ["KINDS", "Tuned", "pass_seconds", "tune"]
