from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.paper import write_paper_bundle

from nanoaccel.bundle import MANIFEST


def test_inspect_shows_what_a_bundle_holds(paper_bundle: Path, run_cli: Any) -> None:
    ended = run_cli("inspect", paper_bundle)
    assert ended.code == 0
    lines = [line.split(maxsplit=2) for line in ended.out.splitlines()]
    values = {line[0]: line[1:] for line in lines if len(line) > 2}
    assert values["source"] == ["org/model", "at abc123"]
    assert values["parameters"] == ["10.00", "K"]
    assert values["recipe"] == ["weights", "int4, symmetric True, group_size 64"]
    assert values["context"] == ["4,096", "tokens"]
    assert values["validation"] == ["KL", "to the original 0.250 nats a token"]
    assert values["tools"] == ["openvino", "2026.1"]
    assert values["bits"][0] == "per"
    assert values["bits"][1].split() == ["weight", "4.00"]
    assert "5.0 kB  openvino/openvino_model.bin\n" in ended.out


def test_inspect_json_is_the_manifest_and_more(paper_bundle: Path, run_cli: Any) -> None:
    content = json.loads(run_cli("inspect", paper_bundle, "--json").out)
    assert content["bits_per_weight"] == 4.0
    assert content["manifest"]["target"]["architecture"] == "llama"
    assert content["verified"] is None
    assert json.loads(run_cli("inspect", paper_bundle, "--json", "--verify").out)["verified"]


def test_inspect_says_what_a_text_takes_of_the_cache(tmp_path: Path, run_cli: Any) -> None:
    """By the variables of the graph: a layer with keys, and one with two states."""
    shapes = {
        "past_key_values.0.keypresent.0.key": "?,2,?,16",
        "past_key_values.0.valuepresent.0.value": "?,2,?,16",
        "cache_params.past.conv.0cache_params.present.conv.0": "?,100,4",
        "cache_params.past.ssm.0cache_params.present.ssm.0": "?,4,10,15",
    }
    graph = "\n".join(
        f'<data variable_id="{name}" variable_type="f32" variable_shape="{shape}" />'
        for name, shape in shapes.items()
    )
    hybrid = write_paper_bundle(tmp_path / "hybrid", graph=graph)
    out = run_cli("inspect", hybrid).out
    assert "128 B per token in 16 bits (64 numbers)" in out
    assert "4.0 kB of states per sequence" in out
    content = json.loads(run_cli("inspect", hybrid, "--json").out)
    assert content["cache"] == {"numbers_per_token": 64, "state_bytes": 4000}
    unknown = write_paper_bundle(tmp_path / "unknown", graph=graph.replace("?,2,", "?,?,"))
    assert json.loads(run_cli("inspect", unknown, "--json").out)["cache"] is None


def test_inspect_verify_finds_an_altered_file(paper_bundle: Path, run_cli: Any) -> None:
    assert "all checksums are right" in run_cli("inspect", paper_bundle, "--verify").out
    (paper_bundle / "openvino" / "openvino_model.bin").write_bytes(b"\1" * 5000)
    assert run_cli("inspect", paper_bundle).code == 0
    ended = run_cli("inspect", paper_bundle, "--verify")
    assert (ended.code, ended.out) == (1, "")
    assert "openvino_model.bin was altered" in ended.err


def test_inspect_shows_a_plain_folder(letters: Path, run_cli: Any) -> None:
    ended = run_cli("inspect", letters, "--verify")
    assert ended.code == 0
    assert "plain folder" in ended.out
    assert "128 tokens" in ended.out
    assert "tokenizer.json" in ended.out
    assert ended.out.endswith("nothing to verify: a plain folder has no checksums\n")
    content = json.loads(run_cli("inspect", letters, "--json", "--verify").out)
    assert (content["manifest"], content["bits_per_weight"]) == (None, None)
    assert content["verified"] is None


def test_inspect_shows_no_bits_without_weights_file(paper_bundle: Path, run_cli: Any) -> None:
    manifest = json.loads((paper_bundle / MANIFEST).read_text())
    manifest["files"] = [f for f in manifest["files"] if not f["path"].endswith("model.bin")]
    manifest["source"] = {"id": "sample"}
    (paper_bundle / MANIFEST).write_text(json.dumps(manifest))
    (paper_bundle / "openvino" / "openvino_model.bin").unlink()
    ended = run_cli("inspect", paper_bundle)
    assert "bits per weight" not in ended.out
    assert re.search(r"^source +sample$", ended.out, re.MULTILINE)


def test_inspect_survives_odd_values(paper_bundle: Path, run_cli: Any) -> None:
    manifest = json.loads((paper_bundle / MANIFEST).read_text())
    manifest["target"]["parameters"] = 0
    manifest["validation"] = {"kl": "unknown", "tokens": 200}
    (paper_bundle / MANIFEST).write_text(json.dumps(manifest))
    ended = run_cli("inspect", paper_bundle)
    assert ended.code == 0
    assert "KL to the original unknown" in ended.out
    assert "bits per weight" not in ended.out


def test_inspect_escapes_what_a_manifest_brings(paper_bundle: Path, run_cli: Any) -> None:
    manifest = json.loads((paper_bundle / MANIFEST).read_text())
    manifest["source"]["id"] = "\x1b[2Jorg/model"
    (paper_bundle / MANIFEST).write_text(json.dumps(manifest))
    assert "\x1b" not in run_cli("inspect", paper_bundle).out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: (f / MANIFEST).write_text('{"schema_version": 99}'), "schema version 99"),
        (lambda f: (f / MANIFEST).write_text("{"), "is not a manifest"),
        (lambda f: (f / MANIFEST).write_text('{"schema_version": 1}'), "nanoaccel.json is"),
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer.json has 2 bytes"),
        (lambda f: (f / MANIFEST).unlink(), "holds none of"),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "chat", "bench"])
def test_damaged_bundle_is_refused_in_one_line(
    command: str, change: Any, told: str, paper_bundle: Path, run_cli: Any
) -> None:
    change(paper_bundle)
    ended = run_cli(command, paper_bundle)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert told in ended.err


def test_unknown_bundle_is_refused(tmp_path: Path, run_cli: Any) -> None:
    ended = run_cli("inspect", tmp_path / "none")
    assert ended.code == 1
    assert "is not a folder. Make it: nanoaccel export" in ended.err
