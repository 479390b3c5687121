"""``nanoaccel adapter``, and ``--adapter``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.adapters import write_adapter
from support.fake_llms import WatchedBackend, watch_backends
from support.paper import write_paper_bundle

from nanoaccel.runtime.adapters.choice import AdapterChoice
from nanoaccel.runtime.backends.fake import FakeBackend, scripted
from nanoaccel.testing.engines import VOCAB_SIZE


@pytest.fixture(autouse=True)
def backends(monkeypatch: pytest.MonkeyPatch) -> list[WatchedBackend]:
    """The text shows the adapter: the first token says it, where there is one."""

    def next_token(tokens: Sequence[int]) -> int:
        return (tokens[0] if tokens[0] >= VOCAB_SIZE else 0) % 23 + 1

    return watch_backends(monkeypatch, scripted(VOCAB_SIZE, next_token))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_paper_bundle(tmp_path / "bundle")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "my adapter", 1, base_model_name_or_path="org/model")


def test_adapters_are_added_listed_and_removed(bundle: Path, adapter: Path, run_cli: Any) -> None:
    assert "has no adapters" in run_cli("adapter", "list", bundle).out
    assert "has the adapter 'my-adapter'" in run_cli("adapter", "add", bundle, adapter).out
    assert run_cli("adapter", "add", bundle, adapter, "--name", "other").code == 0
    shown = run_cli("adapter", "list", bundle).out
    assert shown.splitlines()[0].split() == ["NAME", "BASE", "RANK", "MODULES", "SIZE"]
    assert "my-adapter" in shown
    facts = json.loads(run_cli("adapter", "list", bundle, "--json").out)
    assert [(one["name"], one["rank"], one["modules"]) for one in facts] == [
        ("my-adapter", 2, 2),
        ("other", 2, 2),
    ]
    assert "adapters/other/adapter_model.safetensors" in run_cli("inspect", bundle).out
    assert run_cli("adapter", "rm", bundle, "other").code == 0
    ended = run_cli("adapter", "rm", bundle, "my-adaptr")
    assert (ended.code, "Did you mean 'my-adapter'" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shapes": {"model.layers.9.q_proj": (4, 3)}}, "no such module"),
        ({"use_dora": True}, "says use_dora=True"),
        ({"rank": 3, "r": 2}, "declares the rank 2"),
    ],
)
def test_adapter_that_does_not_fit_is_not_added(
    bundle: Path, tmp_path: Path, run_cli: Any, wrong: dict[str, Any], said: str
) -> None:
    ended = run_cli("adapter", "add", bundle, write_adapter(tmp_path / "wrong", **wrong))
    assert ended.code == 1
    assert said in ended.err
    assert not (bundle / "adapters").exists()


def test_adapter_is_added_where_nothing_here_computes_it(
    bundle: Path,
    adapter: Path,
    run_cli: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FakeBackend, "adaptable", {})
    ended = run_cli("adapter", "add", bundle, adapter)
    assert ended.code == 0
    assert "computes no adapters here" in ended.err


def test_generate_and_chat_answer_with_an_adapter(
    bundle: Path, adapter: Path, run_cli: Any
) -> None:
    run_cli("adapter", "add", bundle, adapter, "--name", "mine")
    begun = ("generate", bundle, "abc", "--max-tokens", 4, "--no-stream")
    plain = run_cli(*begun).out
    texts = {run_cli(*begun, "--adapter", given).out for given in ("mine", adapter)}
    assert len(texts) == 1
    assert plain not in texts
    ended = run_cli(*begun, "--adapter", "mnie")
    assert (ended.code, "Did you mean 'mine'" in ended.err) == (2, True)
    ended = run_cli(*begun, "--adapter", "no/where")
    assert (ended.code, "is not a folder" in ended.err) == (2, True)


def test_adapter_choice_tells_names_from_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    assert AdapterChoice.parse("sql") == AdapterChoice("sql")
    assert AdapterChoice.parse("a b") == AdapterChoice("a-b", Path("a b"))
    assert AdapterChoice.parse("sql=a b") == AdapterChoice("sql", Path("a b"))
    assert AdapterChoice.parse("sql=a b").folders == {"sql": Path("a b")}


def test_serve_needs_folders(bundle: Path, run_cli: Any) -> None:
    ended = run_cli("serve", bundle, "--adapter", "mine")
    assert (ended.code, "there is no such folder" in ended.err) == (2, True)
