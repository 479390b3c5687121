"""A service that answers from a folder of texts: python examples/rag.py BUNDLE FOLDER [PORT]

curl -G http://127.0.0.1:8000/ --data-urlencode "question=Which text calibrates an export?"

One model finds and answers here, which keeps the example short. A model that was made for
embeddings finds better: open its bundle in a second AsyncLLM, and let that one embed.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from nanoaccel import AsyncLLM, SamplingParams

RULES = (
    "Answer the question from the passages alone, in at most three sentences. "
    "If they do not say it, answer: I do not know."
)
PASSAGE = 800  # characters, about
FOUND = 3  # passages that an answer is made from
PARAMS = SamplingParams(max_tokens=120, temperature=0.0)


@dataclass
class Library:
    """Passages, and a vector for each: f32[P, H], of length 1."""

    names: list[str]
    passages: list[str]
    vectors: np.ndarray

    @classmethod
    async def read(cls, folder: Path, llm: AsyncLLM) -> "Library":
        """Cut the texts of a folder into passages and embed them, all together."""
        cut = [
            (file.name, passage)
            for file in sorted(folder.rglob("*"))
            if file.suffix in (".md", ".txt")
            for passage in passages_of(file.read_text(encoding="utf-8"))
        ]
        names, passages = map(list, zip(*cut, strict=True))
        return cls(names, passages, await llm.embed(passages, pooling="mean"))

    async def find(self, question: str, llm: AsyncLLM) -> list[int]:
        """The passages nearest to a question, in the order of the library.

        Answers from the same passages have prompts that begin the same, and the cache has them.
        """
        asked = await llm.embed(question, pooling="mean")
        return sorted(np.argsort(-(self.vectors @ asked[0]))[:FOUND].tolist())


def passages_of(text: str) -> list[str]:
    """Paragraphs, put together while they are short."""
    passages = [""]
    for paragraph in text.split("\n\n"):
        if passages[-1] and len(passages[-1]) + len(paragraph) > PASSAGE:
            passages.append("")
        passages[-1] = f"{passages[-1]}\n\n{paragraph}".strip()[: 2 * PASSAGE]
    return [passage for passage in passages if passage]


def application(bundle: str, folder: Path, cache: Path) -> Starlette:
    """An application that answers ``GET /?question=...``."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, object]]:
        # What was computed of passages is on disk, and known after a restart.
        async with AsyncLLM(bundle, prompt_cache=cache) as llm:
            yield {"llm": llm, "library": await Library.read(folder, llm)}

    async def answer(request: Request) -> JSONResponse:
        question = request.query_params.get("question", "")
        if not question:
            return JSONResponse({"error": "ask with ?question="}, 400)
        llm, library = request.state.llm, request.state.library
        found = await library.find(question, llm)
        passages = "\n\n".join(f"[{library.names[i]}]\n{library.passages[i]}" for i in found)
        # What changes least stands first.
        content = f"{RULES}\n\n{passages}\n\nQuestion: {question}"
        output = await llm.generate([{"role": "user", "content": content}], PARAMS)
        return JSONResponse(
            {
                "answer": output.text,
                "sources": [library.names[i] for i in found],
                "prompt_tokens": output.usage.prompt_tokens,
                "cached_tokens": output.stats.cached_tokens,
            }
        )

    return Starlette(routes=[Route("/", answer)], lifespan=lifespan)


def main(bundle: str, folder: str, port: str = "8000") -> None:
    uvicorn.run(application(bundle, Path(folder), Path("rag-cache")), port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
