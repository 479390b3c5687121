"""The examples that are part of a larger program: web applications, a window, an agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from support.examples import load_example

from nanoaccel import LLM, SamplingParams

pytestmark = pytest.mark.export
SHORT = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)


@pytest.fixture(scope="module")
def llm(tiny_bundle: Path) -> Iterator[LLM]:
    with LLM(tiny_bundle) as opened:
        yield opened


def said(llm: LLM, *messages: str) -> str:
    """What the model answers, messages of user and assistant in turn."""
    roles = ("user", "assistant")
    chat = [{"role": roles[i % 2], "content": text} for i, text in enumerate(messages)]
    return llm.generate(chat, SHORT).text


def test_server_sent_events(tiny_bundle: Path, llm: LLM) -> None:
    example = load_example("streaming/server_sent_events.py", PARAMS=SHORT)
    with TestClient(example.application(str(tiny_bundle))) as client:
        answer = client.get("/", params={"question": "Hi"})
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
        chunks = [json.loads(line) for line in lines]
        assert len(chunks) > 1
        assert "".join(chunk["text"] for chunk in chunks) == said(llm, "Hi")
        assert [chunk["finish_reason"] for chunk in chunks][-1] == "length"
        refused = client.get("/", params={"question": "tide " * 5000})
        assert refused.status_code == 400
        assert "tokens" in refused.text


def test_websocket_keeps_the_conversation(tiny_bundle: Path, llm: LLM) -> None:
    example = load_example("streaming/websocket.py", PARAMS=SHORT)
    with TestClient(example.application(str(tiny_bundle))) as client:
        with client.websocket_connect("/") as socket:
            answers = []
            for question in ("Hi", "And then?"):
                socket.send_text(question)
                pieces: list[str] = []
                while True:
                    chunk = socket.receive_json()
                    pieces.append(chunk["text"])
                    if chunk["finish_reason"] is not None:
                        break
                answers.append("".join(pieces))
            socket.send_text("tide " * 5000)
            assert "tokens" in socket.receive_json()["error"]
        with client.websocket_connect("/") as socket:
            socket.send_text("Hi")
            assert socket.receive_json()["text"] is not None  # and goes away
    assert answers[0] == said(llm, "Hi")
    assert answers[1] == said(llm, "Hi", answers[0], "And then?")


def test_extraction_gives_records(llm: LLM) -> None:
    example = load_example("extraction.py")
    orders = example.read_orders(llm, example.MAILS)
    assert len(orders) == len(example.MAILS)
    for order in orders:
        assert order is None or (isinstance(order.urgent, bool) and 1 <= order.boxes <= 999)
    assert any(order is not None for order in orders)


def test_agent_makes_calls_that_can_be_made(llm: LLM) -> None:
    example = load_example("agent.py")
    asked = [[{"role": "user", "content": f"Question {n}"}] for n in range(6)]
    params = SamplingParams(max_tokens=300, grammar=example.STEP, seed=3, temperature=1.0)
    steps = [
        json.loads(output.text)
        for output in llm.generate(asked, params)
        if output.finish_reason == "stop"
    ]
    assert steps
    for step in steps:
        assert "answer" in step or example.TOOLS[step["call"]](**step["arguments"]) is not None
    assert isinstance(example.run(llm, "How many boxes?"), str)


def test_agent_gives_results_back() -> None:
    example = load_example("agent.py")
    replies = iter(
        ['{"call": "in_stock", "arguments": {"goods": "sea salt"}}', '{"answer": "Three."}']
    )
    seen: list[str] = []

    class Scripted:
        def generate(self, messages: list[dict[str, str]], _: SamplingParams) -> object:
            seen.append(messages[-1]["content"])
            return type("Output", (), {"text": next(replies), "finish_reason": "stop"})

    assert example.run(Scripted(), "How much salt?") == "Three."
    assert seen == ["How much salt?", "Result: 3"]


def test_rag_finds_passages_and_keeps_them_computed(tiny_bundle: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("tide", "lamp", "mill", "boat"):
        (texts / f"{name}.md").write_text(f"About the {name}.\n\n" + f"The {name} is old. " * 45)
    example = load_example("rag.py", PARAMS=SHORT)
    assert len(example.passages_of("a\n\nb")) == 1
    assert [len(one) for one in example.passages_of("x" * 5000)] == [1600]
    cached = []
    for _ in range(2):  # two starts of the service
        app = example.application(str(tiny_bundle), texts, tmp_path / "cache")
        with TestClient(app) as client:
            assert client.get("/").status_code == 400
            answer = client.get("/", params={"question": "How old is the lamp?"}).json()
            cached.append(answer["cached_tokens"])
            assert answer["sources"] == sorted(answer["sources"])
            assert len(answer["sources"]) == 3
            assert answer["answer"]
    assert cached[0] < cached[1]


def test_desktop_writer_answers_and_stops(tiny_bundle: Path, llm: LLM) -> None:
    tkinter = pytest.importorskip("tkinter")
    example = load_example("desktop.py", PARAMS=SHORT)
    writer = example.Writer(str(tiny_bundle))
    try:
        writer.ask("Hi")
        pieces = list(iter(lambda: writer.written.get(timeout=60), None))
        assert "".join(pieces) == said(llm, "Hi")
        example.Writer._write.__globals__["PARAMS"] = SamplingParams(
            max_tokens=4000, ignore_eos=True
        )
        writer.ask("Go on")
        writer.written.get(timeout=60)
        writer.stop()
        assert len(list(iter(lambda: writer.written.get(timeout=60), None))) < 4000
        writer.ask("And on")
        writer.written.get(timeout=60)
    finally:
        writer.close()  # in the middle of an answer
    try:
        root = tkinter.Tk()
    except tkinter.TclError:
        return  # no display: the window is not tried
    example.Window(root, writer)
    root.update()
    root.destroy()
