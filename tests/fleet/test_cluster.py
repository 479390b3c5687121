"""A Ray cluster of nodes and a head, real processes, of which some are killed."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support.batch_files import read_lines, request_of, write_lines
from support.fake_llms import write_bundle
from support.ray_clusters import Cluster, ray_cluster, wait_long
from support.replicas import LETTERS_BACKEND, SECONDS, write_plugin

ROOT = Path(__file__).parents[2]
PORT = 30000 + os.getpid() % 10000

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None or not sys.platform.startswith("linux"),
    reason="needs Linux and Ray: pip install 'nanoaccel[ray]'",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    plugin = write_plugin(folder / "plugin")
    paths = os.pathsep.join(map(str, (plugin, ROOT / "tests", ROOT)))
    return {**os.environ, "PYTHONPATH": paths, SECONDS: "0.02", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    return write_bundle(folder / "letters")


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.nightly)])
def nodes(request: pytest.FixtureRequest) -> int:
    """Nodes beside the head, as long as none is lost."""
    count: int = request.param
    return count


@pytest.fixture(scope="module")
def cluster(folder: Path, environment: dict[str, str], nodes: int) -> Iterator[Cluster]:
    with ray_cluster(folder, environment, nodes) as running:
        yield running


def test_batch_loses_no_answer_with_a_node(
    cluster: Cluster, nodes: int, bundle: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    lines = [request_of(f"r{n}") for n in range(160)]
    asked = write_lines(tmp_path / "in.jsonl", [*lines, b"{"])
    answers = tmp_path / "out.jsonl"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "nanoaccel", "batch", str(bundle), str(asked), str(answers),
                "--backend", LETTERS_BACKEND, "--max-running", "2", "--ray", cluster.address,
            ],
            env=environment, stderr=log,
        )  # fmt: skip

    def written() -> int:
        assert process.poll() is None, (tmp_path / "log").read_text()
        return answers.read_bytes().count(b"\n") if answers.exists() else 0

    wait_long(lambda: written() >= 40, "answers")
    busy = [node for node in cluster.nodes if node.runs("MapWorker")]
    assert len(busy) == nodes
    cluster.kill(busy[0])
    assert process.wait(60) == 3, (tmp_path / "log").read_text()
    found = [str(answer["custom_id"]) for answer in read_lines(answers)]
    assert sorted(found) == sorted(["None", *(line["custom_id"] for line in lines)])


def test_batch_without_a_cluster_says_so_at_once(
    bundle: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    asked = write_lines(tmp_path / "in.jsonl", [request_of("a")])
    done = subprocess.run(
        [
            sys.executable, "-m", "nanoaccel", "batch", str(bundle), str(asked),
            str(tmp_path / "out.jsonl"), "--ray", "127.0.0.1:1",
        ],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "--ray 127.0.0.1:1: there is no Ray cluster" in done.stderr.splitlines()[-1]


def ask(prompt: str, **fields: Any) -> tuple[int, bytes]:
    """What the application answers."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    body = {"prompt": prompt, "max_tokens": 4, "ignore_eos": True, **fields}
    try:
        connection.request(
            "POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def is_ready() -> bool:
    """Whether an engine behind the gateway takes requests."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@pytest.fixture(scope="module")
def served(
    cluster: Cluster, nodes: int, bundle: Path, environment: dict[str, str], folder: Path
) -> Iterator[Cluster]:
    """The application, with an engine on each node."""
    cluster.add(nodes - len(cluster.nodes))
    config = {
        "http_options": {"host": "127.0.0.1", "port": PORT},
        "proxy_location": "HeadOnly",
        "applications": [
            {
                "name": "nanoaccel",
                "import_path": "nanoaccel.fleet.serve:app",
                "args": {
                    "bundles": [str(bundle)],
                    "engine": {"backend": LETTERS_BACKEND, "max_running": 8},
                    "min_engines": nodes,
                },
            }
        ],
    }
    file = folder / "serve.yaml"
    file.write_text(json.dumps(config))  # JSON is YAML
    serve = Path(sys.executable).with_name("serve")
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(serve), "run", "--address", cluster.address, str(file)],
            env=environment, stdout=output, stderr=output,
        )  # fmt: skip

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        engines = sum(node.runs("ServeReplica:nanoaccel:Engine") for node in cluster.nodes)
        return engines == nodes and is_ready()

    try:
        wait_long(ready, "the application")
        yield cluster
    finally:
        process.kill()
        process.wait()


def cached(beginning: str, end: str) -> int:
    """Tokens of a prompt that were cached where it went."""
    status, body = ask(f"{beginning * 46}{end}")
    assert status == 200, body
    tokens: int = json.loads(body)["timings"]["cached_tokens"]
    return tokens


def test_application_answers_as_the_server_does(served: Cluster) -> None:  # noqa: ARG001
    status, body = ask("a", stream=True)
    assert status == 200
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")
    assert ask("a" * 500)[0] == 400
    assert json.loads(ask("a", temperature=-1)[1])["error"]["param"] == "temperature"


def test_prompts_go_where_they_are_cached_before_and_after_a_loss(served: Cluster) -> None:
    beginnings = "bcdefgh"
    assert not any(cached(beginning, "x") for beginning in beginnings)
    assert all(cached(beginning, "y") for beginning in beginnings)

    lost = next(
        node
        for node in served.nodes
        if node.runs("ServeReplica:nanoaccel:Engine")
        and not node.runs("ServeReplica:nanoaccel:Gateway")
    )
    with ThreadPoolExecutor(12) as pool:
        running = [pool.submit(ask, "a" * n, max_tokens=30) for n in range(1, 31)]
        streams = [pool.submit(ask, "a" * n, stream=True, max_tokens=30) for n in range(1, 7)]
        wait_long(lambda: any(one.done() for one in running), "an answer")
        served.kill(lost)
        assert {one.result()[0] for one in running} == {200}
        for stream in streams:
            status, body = stream.result()
            assert status == 200
            assert body.endswith(b"data: [DONE]\n\n")
            assert b'"finish_reason":"length"' in body or b"engine_lost" in body
    for beginning in beginnings:
        cached(beginning, "z")
    assert all(cached(beginning, "w") for beginning in beginnings)
