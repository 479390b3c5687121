"""Adapters over HTTP: asked for as models, listed, loaded and unloaded while the server runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.adapters import write_adapter
from support.disk_tiers import wait_until
from support.fake_llms import WatchedBackend, watch_backends, write_bundle
from support.servers import Served, serving

from nanoaccel.errors import ConfigError
from nanoaccel.runtime.backends.fake import scripted
from nanoaccel.server.config import ServerConfig
from nanoaccel.testing.engines import VOCAB_SIZE

LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[WatchedBackend]:
    """Backends whose text shows the adapter: the first token says it, where there is one."""

    def next_token(tokens: Sequence[int]) -> int:
        return (tokens[0] if tokens[0] >= VOCAB_SIZE else 0) % 23 + 1

    return watch_backends(monkeypatch, scripted(VOCAB_SIZE, next_token))


@pytest.fixture
def served(letters: Path, tmp_path: Path) -> Iterator[Served]:
    first = write_adapter(tmp_path / "first", 1)
    with serving(letters, engine={"adapters": {"first": first}}, load_adapters=True) as running:
        yield running


def ask(served: Served, model: str | None) -> str:
    body = {"prompt": "once", "max_tokens": 3, "ignore_eos": True}
    answer = served.post("/v1/completions", body if model is None else {**body, "model": model})
    assert answer.status == 200, answer.body
    assert answer.json["model"] == ("letters" if model is None else model)
    text: str = answer.json["choices"][0]["text"]
    return text


def names(served: Served) -> list[str]:
    return [one["id"] for one in served.get("/v1/models").json["data"]]


def test_server_answers_with_the_adapter_that_a_model_names(served: Served) -> None:
    plain, adapted = ask(served, None), ask(served, "letters:first")
    assert plain != adapted
    assert ask(served, "letters") == plain
    chat = {"messages": [{"role": "user", "content": "once"}], "max_tokens": 3, "ignore_eos": True}
    for path, body in {
        "/v1/chat/completions": chat,
        "/v1/messages": {**chat, "max_tokens": 3},
        "/v1/responses": {"input": "once", "max_output_tokens": 3},
    }.items():
        replies = [served.post(path, {**body, "model": f"letters{a}"}) for a in ("", ":first")]
        assert [reply.status for reply in replies] == [200, 200]
        assert replies[1].json["model"] == "letters:first"
        assert str(replies[0].json).replace("letters", "") != str(replies[1].json)
    assert served.post("/v1/embeddings", {"input": "a", "model": "letters:first"}).status == 200


def test_server_knows_an_adapter_by_its_name_alone(served: Served) -> None:
    body = {"prompt": "once", "max_tokens": 3, "model": "first"}
    assert served.post("/v1/completions", body).json["model"] == "letters:first"


def test_server_lists_adapters_as_models(served: Served) -> None:
    assert names(served) == ["letters", "letters:first"]
    shown = served.get("/v1/models/letters:first").json
    assert (shown["id"], shown["parent"]) == ("letters:first", "letters")
    assert served.get("/v1/models/letters").json["parent"] is None


@pytest.mark.parametrize("model", ["letters:second", "second", "letters:", "other:first"])
def test_server_refuses_an_adapter_that_is_not_there(served: Served, model: str) -> None:
    answer = served.post("/v1/completions", {"prompt": "a", "model": model})
    assert answer.status == 404
    assert answer.error["code"] == "model_not_found"
    assert served.get(f"/v1/models/{model}").status == 404


def test_server_loads_and_unloads_adapters(served: Served, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "second", 2)
    body = {"lora_name": "second", "lora_path": str(folder)}
    answer = served.post(LOAD, body)
    assert (answer.status, answer.json["id"]) == (200, "letters:second")
    assert names(served) == ["letters", "letters:first", "letters:second"]
    assert ask(served, "letters:second") not in (ask(served, None), ask(served, "letters:first"))
    again = served.post(LOAD, body)
    assert (again.status, again.error["param"]) == (400, "lora_name")
    assert served.post(UNLOAD, {"lora_name": "second"}).json["loaded"] is False
    assert names(served) == ["letters", "letters:first"]
    gone = served.post(UNLOAD, {"lora_name": "second"})
    assert (gone.status, gone.error["code"]) == (404, "adapter_not_found")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"lora_path": "x"}, "lora_name"),
        ({"lora_name": "x"}, "lora_path"),
        ({"lora_name": "x", "lora_path": "nowhere"}, "lora_path"),
        ({"lora_name": "a/b", "lora_path": "nowhere"}, "lora_name"),
        ({"lora_name": "x", "lora_path": 3}, "lora_path"),
    ],
)
def test_server_names_what_is_wrong_with_an_adapter(
    served: Served, body: dict[str, object], param: str
) -> None:
    answer = served.post(LOAD, body)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_server_loads_adapters_only_where_it_may(letters: Path, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "one")
    body = {"lora_name": "one", "lora_path": str(folder)}
    with serving(letters) as served:
        for path in (LOAD, UNLOAD):
            answer = served.post(path, body)
            assert (answer.status, answer.error["code"]) == (403, "adapters_are_fixed")
    with serving(letters, load_adapters=True, api_keys=("key",)) as served:
        assert served.post(LOAD, body).status == 401
        assert served.post(LOAD, body, Authorization="Bearer key").status == 200


def test_server_ends_with_the_adapter_what_runs_while_it_is_unloaded(
    served: Served, backends: list[WatchedBackend]
) -> None:
    expected = ask(served, "letters:first")
    backends[0].hold()
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(ask(served, "letters:first")))
    thread.start()
    backends[0].wait_until_held()
    assert served.post(UNLOAD, {"lora_name": "first"}).status == 200
    backends[0].go_on()
    thread.join()
    assert found == [expected]
    wait_until(lambda: not backends[0]._adapters, "an adapter that is unloaded")


def test_server_keeps_adapters_of_a_model_that_was_closed(
    letters: Path, tmp_path: Path, backends: list[WatchedBackend]
) -> None:
    other = write_bundle(tmp_path / "other")
    folder = write_adapter(tmp_path / "one", 3)
    with serving(letters, other, load_adapters=True, keep_alive=0.0) as served:
        body = {"lora_name": "one", "lora_path": str(folder)}
        assert served.post(LOAD, body).status == 200
        before = ask(served, "letters:one")
        wait_until(lambda: backends[0].closings == 1, "a model that is closed")
        assert names(served) == ["letters", "letters:one", "other"]
        assert ask(served, "letters:one") == before
        assert len(backends) == 2


def test_server_counts_adapters(served: Served) -> None:
    ask(served, "letters:first")
    page = served.get("/metrics").body.decode()
    assert 'nanoaccel:adapters_loaded{model_name="letters"} 1' in page
    assert 'nanoaccel:adapter_loads_total{model_name="letters"} 1' in page


def test_server_refuses_adapters_for_several_bundles(letters: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="for 2 bundles together"):
        ServerConfig(bundles=(letters, tmp_path), engine={"adapters": {"a": tmp_path}})
