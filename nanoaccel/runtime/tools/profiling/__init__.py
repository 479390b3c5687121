"""Where time and memory go; it costs nothing when it is off."""

from nanoaccel.runtime.engine.phases import PHASES, Phase
from nanoaccel.runtime.tools.profiling.facts import (
    ColdStart,
    MachineSpeed,
    MemoryUse,
    OperatorProfile,
    PassShape,
    Profile,
    RunFacts,
)
from nanoaccel.runtime.tools.profiling.profiler import Profiler
from nanoaccel.runtime.tools.profiling.roles import Role, roles_of
from nanoaccel.runtime.tools.profiling.run import ProfileOptions, profile_bundle
from nanoaccel.runtime.tools.profiling.steps import Span, StepRecord
from nanoaccel.runtime.tools.profiling.trace import chrome_trace
from nanoaccel.runtime.tools.profiling.verdict import Verdict, judge

__all__ = [
    "PHASES",
    "ColdStart",
    "MachineSpeed",
    "MemoryUse",
    "OperatorProfile",
    "PassShape",
    "Phase",
    "Profile",
    "ProfileOptions",
    "Profiler",
    "Role",
    "RunFacts",
    "Span",
    "StepRecord",
    "Verdict",
    "chrome_trace",
    "judge",
    "profile_bundle",
    "roles_of",
]
