"""Operators of a pass by what they are to a decoder, and how near each is to what bounds it."""

from __future__ import annotations

from dataclasses import dataclass

from nanoaccel.runtime.backends import OperatorTime
from nanoaccel.runtime.tools.profiling.facts import MachineSpeed, OperatorProfile

# The last part of a path that runtimes add to a projection's name.
_PRODUCTS = ("MatMulNBits", "MatMul", "Linear")
_ROLES = {
    "qkv_proj": "q/k/v",
    "q_proj": "q",
    "k_proj": "k",
    "v_proj": "v",
    "o_proj": "o",
    "gate_proj+up_proj": "gate/up",
    "gate_up_proj": "gate/up",
    "gate_proj": "gate",
    "up_proj": "up",
    "down_proj": "down",
    "lm_head": "lm_head",
}


@dataclass(frozen=True, slots=True)
class Role:
    """Operators of one kind and one role, together.

    Args:
        kind: Operator, in the runtime's words.
        role: Name of the projection, such as "gate/up"; empty for what has none.
        own: Whether the operators are NanoAccel's.
        seconds: Of one pass.
        limit: Seconds that the machine takes at least; None where that is not known.
        bound: What it would wait for then: "memory" or "products".
    """

    kind: str
    role: str
    own: bool
    seconds: float
    limit: float | None = None
    bound: str = ""

    @property
    def title(self) -> str:
        """Kind and role."""
        return f"{self.kind} {self.role}".rstrip()

    @property
    def share(self) -> float | None:
        """Share of the limit that is reached; None where that is not known."""
        return None if self.limit is None or self.seconds <= 0 else self.limit / self.seconds


def roles_of(profile: OperatorProfile, machine: MachineSpeed) -> list[Role]:
    """The roles of a pass, the longest first.

    Args:
        profile: Operators of equal passes.
        machine: Its speed.
    """
    groups: dict[tuple[str, str], list[OperatorTime]] = {}
    for operator in profile.operators:
        key = operator.kind, "" if operator.work is None else _role(operator.name)
        groups.setdefault(key, []).append(operator)
    found = [
        _together(kind, role, group, profile, machine) for (kind, role), group in groups.items()
    ]
    return sorted(found, key=lambda role: -role.seconds)


def _together(
    kind: str,
    role: str,
    group: list[OperatorTime],
    profile: OperatorProfile,
    machine: MachineSpeed,
) -> Role:
    seconds = sum(operator.seconds for operator in group) / profile.passes
    works = [operator.work for operator in group if operator.work is not None]
    shape = profile.shape
    if len(works) < len(group) or shape is None:
        return Role(kind, role, bool(works), seconds)
    if any(work.reads_cache for work in works):
        if shape.past == 0:  # what a prompt attends to is in no figure of the machine
            return Role(kind, role, True, seconds)
        return Role(kind, role, True, seconds, shape.cache_bytes / machine.bandwidth, "memory")
    rows = shape.tokens if group[0].layer is not None else shape.logits
    reading = sum(work.weights for work in works) / machine.bandwidth
    products = rows * sum(work.products for work in works)
    multiplying = 0.0 if machine.int8 is None else products / machine.int8
    if reading == 0:
        return Role(kind, role, True, seconds)
    bound = "memory" if reading >= multiplying else "products"
    return Role(kind, role, True, seconds, max(reading, multiplying), bound)


def _role(name: str) -> str:
    """The role that an operator's name tells."""
    *path, last = name.strip("/").split("/")
    part = path[-1] if path and last in _PRODUCTS else last
    return _ROLES.get(part, "")


def own_share(profile: OperatorProfile) -> float | None:
    """Share of NanoAccel's operators in the time of all; None where a runtime has none of them."""
    own = sum(operator.seconds for operator in profile.operators if operator.work is not None)
    return own / profile.seconds if own > 0 else None
