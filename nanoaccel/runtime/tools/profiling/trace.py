"""A profile as a trace that chrome://tracing and Perfetto open."""

from __future__ import annotations

from typing import Any

from nanoaccel.runtime.tools.profiling.facts import OperatorProfile, Profile

_PROCESS = 1
_PHASES, _OPERATORS = 1, 2
_MICRO = 1e6


def chrome_trace(profile: Profile) -> dict[str, Any]:
    """The trace, for ``json.dumps``.

    Steps with their phases are on one track, as they happened. On another are the operators of a
    mean pass, one behind the other in their order, at the first step of their kind.
    """
    steps = profile.run.steps
    origin = steps[0].begin if steps else 0.0
    events: list[dict[str, Any]] = []
    for number, step in enumerate(steps):
        kind = "decode" if step.decodes else "prompt"
        facts = {"tokens": step.tokens, "sequences": step.sequences, "context": step.context}
        name = f"step {number}: {kind}"
        events.append(_event(name, "step", _PHASES, step.begin - origin, step.seconds, facts))
        events += [
            _event(span.phase, "phase", _PHASES, span.begin - origin, span.end - span.begin, {})
            for span in step.spans
        ]
    for decode, operators in ((False, profile.prefill), (True, profile.decode)):
        found = profile.run.of_kind(decode)
        if operators is not None and found:
            forward = next((s for s in found[0].spans if s.phase == "forward"), None)
            begin = found[0].begin if forward is None else forward.begin
            events += _operator_events(operators, begin - origin)
    events.sort(key=lambda event: (event["ts"], -event["dur"]))
    return {"traceEvents": [*_names(), *events], "displayTimeUnit": "ms"}


def _operator_events(profile: OperatorProfile, begin: float) -> list[dict[str, Any]]:
    events = []
    for operator in profile.operators:
        seconds = operator.seconds / profile.passes
        facts = {"kind": operator.kind, "layer": operator.layer, "mean of passes": profile.passes}
        events.append(_event(operator.name, "operator", _OPERATORS, begin, seconds, facts))
        begin += seconds
    return events


def _event(
    name: str, category: str, track: int, begin: float, seconds: float, facts: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "cat": category,
        "ph": "X",
        "pid": _PROCESS,
        "tid": track,
        "ts": round(begin * _MICRO, 3),
        "dur": round(seconds * _MICRO, 3),
        "args": facts,
    }


def _names() -> list[dict[str, Any]]:
    named = (
        ("process_name", 0, "nanoaccel profile"),
        ("thread_name", _PHASES, "engine: steps and phases"),
        ("thread_name", _OPERATORS, "graph: operators of a mean pass"),
    )
    return [
        {"name": kind, "ph": "M", "pid": _PROCESS, "tid": track, "args": {"name": text}}
        for kind, track, text in named
    ]
