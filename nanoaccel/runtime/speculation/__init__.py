"""Speculative decoding: a step also verifies draft tokens, when that is expected to pay."""

from nanoaccel.runtime.speculation.controller import Controller
from nanoaccel.runtime.speculation.record import SpeculationCounters
from nanoaccel.runtime.speculation.speculator import Speculator
from nanoaccel.runtime.speculation.steps import StepSavings

__all__ = ["Controller", "SpeculationCounters", "Speculator", "StepSavings"]
