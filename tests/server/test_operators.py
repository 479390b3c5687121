from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_llms import WatchedBackend, write_bundle
from support.scripted_server import ENGINE
from support.servers import Served, serving

import nanoaccel
from nanoaccel.logs import JsonLines
from nanoaccel.runtime.types.outputs import Chunk, RequestStats, Usage
from nanoaccel.server.metrics.histogram import Histogram
from nanoaccel.server.metrics.latencies import Latencies

ASK = {"prompt": "abc", "max_tokens": 4}
SAMPLE = re.compile(r'nanoaccel:(\w+)\{((?:\w+="(?:[^"\\\n]|\\.)*",?)*)\} (\S+)')


def samples(served: Served) -> dict[tuple[str, str], float]:
    page = served.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for line in page.body.decode().splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            found[match[1], match[2]] = float(match[3])
    return found


def test_metrics_count_what_was_done(served: Served) -> None:
    for _ in range(2):
        served.post("/v1/completions", ASK)
    found = samples(served)
    model = 'model_name="letters"'
    expected = {
        "model_loaded": 1,
        "generation_tokens_total": 8,
        "prompt_tokens_total": 6,
        "requests_total": 2,
        "num_requests_running": 0,
        "num_requests_waiting": 0,
        "time_to_first_token_seconds_count": 2,
        "inter_token_latency_seconds_count": 6,
        "request_queue_time_seconds_count": 2,
        "e2e_request_latency_seconds_count": 2,
        "request_prompt_tokens_sum": 6,
        "request_generation_tokens_sum": 8,
    }
    assert {name: found[name, model] for name in expected} == expected
    assert found["request_success_total", f'{model},finished_reason="length"'] == 2
    assert found["request_generation_tokens_bucket", f'{model},le="4"'] == 2
    assert found["request_generation_tokens_bucket", f'{model},le="2"'] == 0
    assert found["request_generation_tokens_bucket", f'{model},le="+Inf"'] == 2
    assert found["http_requests_total", 'path="/v1/completions",status="200"'] == 2


def test_metrics_tell_what_the_cache_spared(served: Served) -> None:
    for _ in range(2):
        served.post("/v1/completions", {"prompt": 40 * "a", "max_tokens": 2})
    found = samples(served)
    model = 'model_name="letters"'
    assert found["request_cached_ratio_count", model] == 2
    assert found["request_cached_ratio_sum", model] == 36 / 40  # whole blocks of four
    assert found["request_acceptance_ratio_count", model] == 0


def test_acceptance_is_that_of_completions_with_drafts() -> None:
    latencies = Latencies()
    plain = RequestStats(0.0, 0.1, 1.0, 0)
    drafted = replace(plain, drafted_tokens=8, accepted_tokens=6)
    for stats in (plain, drafted):
        end = Chunk("", (), finish_reason="stop", usage=Usage(4, 10), stats=stats)
        latencies.watch(0.0).note(end, 1.0)
    assert (latencies.accepted.count, latencies.accepted.total) == (1, 0.75)
    assert latencies.cached.count == 2


def test_metrics_of_unknown_paths_are_one(served: Served) -> None:
    for place in range(20):
        served.get(f"/nowhere/{place}")
    assert samples(served)["http_requests_total", 'path="other",status="404"'] == 20


def test_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram((1.0, 2.5))
    for value in (0.5, 1.0, 2.0, 9.0):
        histogram.add(value)
    assert list(histogram.buckets()) == [("1", 2), ("2.5", 3), ("+Inf", 4)]
    assert (histogram.count, histogram.total) == (4, 12.5)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [json.loads(JsonLines().format(record)) for record in caplog.records]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shows", [False, True])
def test_log_tells_of_requests_and_of_prompts_if_asked(
    shows: bool, stream: bool, letters: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nanoaccel.server")
    with serving(letters, log_requests=shows, api_keys=("secret-key",)) as served:
        asked = {**ASK, "stream": stream}
        served.post("/v1/completions", asked, **{"X-Request-Id": "mine", "X-Api-Key": "secret-key"})
        served.get("/health")
    told = [line for line in lines(caplog) if line["message"] == "request"]
    (line,) = [line for line in told if line["request_id"] == "mine"]
    expected = {
        "method": "POST",
        "path": "/v1/completions",
        "status": 200,
        "model": "letters",
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "finish_reason": "length",
    }
    assert {name: line[name] for name in expected} == expected
    assert line.get("request") == (asked if shows else None)
    assert line.get("answer") == (["defg"] if shows else None)
    assert "secret-key" not in json.dumps(lines(caplog))
    assert not [line for line in told if line["path"] == "/health"]


def test_log_is_one_line_of_ascii_whatever_is_sent(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nanoaccel.server")
    served.get("/a%0a%7b%22level%22%3a%22forged%22%7d%1b%5b31m")
    text = "\n".join(JsonLines().format(record) for record in caplog.records)
    assert text.isascii()
    assert text.isprintable() or set(text) >= {"\n"}
    assert "\x1b" not in text
    assert len(text.splitlines()) == len(caplog.records)


def test_tokens_and_back(served: Served) -> None:
    told = served.post("/tokenize", {"prompt": "abz", "return_token_strs": True}).json
    assert told == {"tokens": [0, 1, 25], "count": 3, "max_model_len": 64,
                    "token_strs": ["a", "b", "z"]}  # fmt: skip
    assert served.post("/tokenize", {"content": "ab"}).json["tokens"] == [0, 1]
    chat = {"messages": [{"role": "user", "content": "ab"}]}
    assert served.post("/tokenize", chat).json["count"] == 3
    assert served.post("/apply-template", chat).json == {"prompt": "ab."}
    assert served.post("/detokenize", {"tokens": [0, 25]}).json["prompt"] == "az"
    info = served.get("/tokenizer_info").json
    assert (info["eos_token"], info["bos_token"], info["model_max_length"]) == (
        "<eos>", "<bos>", 64,
    )  # fmt: skip


def test_server_is_alive_before_it_is_ready(
    letters: Path, backends: list[WatchedBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    from support import servers

    def check(served: Served) -> None:
        assert served.get("/health").status == 200
        answer = served.get("/ready")
        if answer.status == 503:
            assert answer.json == {"status": "loading"}

    until_ready = servers.until_ready
    monkeypatch.setattr(servers, "until_ready", lambda one: (check(one), until_ready(one)))
    with serving(letters) as served:
        assert served.get("/ready").json == {"status": "ready"}
        assert len(backends) == 1


def test_engine_tells_its_machine_and_models(letters: Path) -> None:
    other = write_bundle(letters.parent / "other")
    with serving(letters, other, api_keys=("secret",)) as served:
        assert served.get("/v1/engine").status == 401
        told = served.get("/v1/engine", Authorization="Bearer secret").json
        assert served.get("/engine", Authorization="Bearer secret").status == 200
    machine, (first, second) = told["machine"], told["models"]
    assert told["version"] == nanoaccel.__version__
    assert 1 <= machine["allowed_cpus"] <= machine["cpus"]
    assert machine["free_memory"] > 0
    assert (first["id"], first["loaded"], first["engine"]["context_length"]) == (
        "letters",
        True,
        64,
    )
    assert (second["id"], second["loaded"], second["engine"]) == ("other", False, None)
    assert str(letters.parent) not in str(told)
    # The page is tested with these.
    shown = ENGINE["models"][0]
    assert machine.keys() == ENGINE["machine"].keys()
    assert first.keys() == shown.keys()
    assert first["engine"].keys() == shown["engine"].keys()
