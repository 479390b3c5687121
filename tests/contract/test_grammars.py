"""The contract of kinds of grammars, over those that are built in and those of packages."""

from __future__ import annotations

import pytest

from nanoaccel.registry import GRAMMARS
from nanoaccel.runtime.sampling.grammar import GrammarKindFactory
from nanoaccel.testing.contracts.grammar import TestGrammar  # noqa: F401

SOURCES = {
    "json_schema": '{"type": "object", "properties": {"a": {"type": "integer"}}}',
    "regex": "[0-9]{2}-[a-z]+",
    "choice": '["yes", "no"]',
    "lark": 'start: "a" start | "b"',
}


@pytest.fixture(scope="module", params=GRAMMARS.names())
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def subject(kind: str) -> GrammarKindFactory:
    made: GrammarKindFactory = GRAMMARS.resolve(kind)
    return made


@pytest.fixture(scope="module")
def nanoaccel_reference(kind: str) -> str:
    return SOURCES[kind]
