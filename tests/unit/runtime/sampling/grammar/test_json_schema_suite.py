"""JSON-Schema-Test-Suite, which comes with the source distribution of jsonschema.

Each schema is refused by name, or its grammar takes what is valid and nothing that is not.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.sdists import fetch_sdist

from nanoaccel.errors import SamplingError
from nanoaccel.runtime.sampling.grammar import CompiledGrammar, Grammar, GrammarCompiler
from nanoaccel.text import Tokenizer

DRAFTS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
}
LEAST_COMPILED = 490
# Says that formats are annotations only; here they are enforced.
ANNOTATIONS = "format.json"
# Valid texts that an answer never is: by file, with a part of the description.
NEVER_WRITTEN = {
    ("allOf.json", "allOf"): "members come in the order in which the schema names them",
    ("const.json", "different property order"): "members come in the order of the value",
    ("ref.json", "maxItems ignored"): "what stands beside $ref counts, as in later drafts",
    ("email.json", "quoted string"): "no quoted local parts",
    ("email.json", "IPv6-address-literal"): "no addresses in the place of a domain",
    ("ipv6.json", "ipv4"): "no IPv4 address within one of IPv6",
    ("ipv6.json", "mixed format"): "no IPv4 address within one of IPv6",
    ("ipv6.json", "a long valid ipv6"): "no IPv4 address within one of IPv6",
    ("date-time.json", "leap second"): "no leap seconds",
    ("date-time.json", "case-insensitive"): "T and Z are capitals",
    ("time.json", "leap second"): "no leap seconds",
    ("time.json", "case-insensitive"): "T and Z are capitals",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A schema with its instances.

    Args:
        name: Draft, file and description.
        file: Name of its file.
        schema: The schema.
        tests: Instances, each with whether it is valid.
    """

    name: str
    file: str
    schema: dict[str, Any]
    tests: list[dict[str, Any]]


def cases(root: Path) -> Iterator[Case]:
    """All whose schema is an object."""
    for draft, dialect in DRAFTS.items():
        folder = root / "json" / "tests" / draft
        for path in sorted([*folder.glob("*.json"), *folder.glob("optional/format/*.json")]):
            if path.name == ANNOTATIONS:
                continue
            for found in json.loads(path.read_text(encoding="utf-8")):
                if isinstance(found["schema"], dict):
                    schema = {"$schema": dialect, **found["schema"]}
                    name = f"{draft}/{path.name}: {found['description']}"
                    yield Case(name, path.name, schema, found["tests"])


def written(schema: Any, value: Any) -> Any:
    """A value as an answer has it: members in the schema's order, whole numbers without a point."""
    if isinstance(value, dict):
        known = schema.get("properties", {}) if isinstance(schema, dict) else {}
        names = [*(name for name in known if name in value), *value]
        return {name: written(known.get(name), value[name]) for name in dict.fromkeys(names)}
    if isinstance(value, list):
        return [written(None, item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def accepts(grammar: CompiledGrammar, tokenizer: Tokenizer, value: Any) -> bool:
    """Whether the grammar allows each token of a text, and then the end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    matcher = grammar.matcher.deep_copy()
    for token in tokenizer.encode(text, False):
        if matcher.validate_tokens([token]) == 0:
            return False
        matcher.consume_token(token)
    allowed: bool = matcher.is_accepting()
    return allowed


def reason(file: str, description: str) -> str | None:
    """Why a valid text is not taken, where that is known."""
    for (name, part), why in NEVER_WRITTEN.items():
        if name == file and part in description:
            return why
    return None


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    try:
        root = fetch_sdist("jsonschema", tmp_path_factory.mktemp("suite"))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"pip cannot fetch the suite: {error.stderr}")
    return list(cases(root))


def test_schemas_of_the_suite_are_enforced_or_refused(
    suite: list[Case], json_bundle: Path, record_property: Any
) -> None:
    tokenizer = Tokenizer.load(json_bundle)
    compiler = GrammarCompiler(tokenizer)
    compiled = 0
    valid_refused, invalid_accepted = [], []
    for case in suite:
        try:
            grammar = compiler.compile(Grammar.json_schema(case.schema))
        except SamplingError:
            continue
        compiled += 1
        for test in case.tests:
            told = f"{case.name}, {test['description']}"
            if not test["valid"]:
                for value in (test["data"], written(case.schema, test["data"])):
                    if accepts(grammar, tokenizer, value):
                        invalid_accepted.append(told)
            elif not accepts(grammar, tokenizer, written(case.schema, test["data"])) and not reason(
                case.file, test["description"]
            ):
                valid_refused.append(told)
    record_property("schemas", f"{compiled} of {len(suite)} compile")
    assert invalid_accepted == []
    assert valid_refused == []
    assert len(suite) > 900
    assert compiled >= LEAST_COMPILED
