"""Speculative decoding: what is guessed is checked in the same pass, when that promises to pay."""

from nanoaccel.runtime.speculation.controller import Controller, StepSavings
from nanoaccel.runtime.speculation.record import SpeculationCounters
from nanoaccel.runtime.speculation.speculator import Speculator

__all__ = ["Controller", "SpeculationCounters", "Speculator", "StepSavings"]
