"""Text as server-sent events: python examples/streaming/server_sent_events.py BUNDLE [PORT]

curl -NG http://127.0.0.1:8000/ --data-urlencode "question=Why is the sky blue?"
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from nanoaccel import AsyncLLM, NanoAccelError, SamplingParams

PARAMS = SamplingParams(max_tokens=256)


def application(bundle: str) -> Starlette:
    """An application that answers ``GET /?question=...``."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, AsyncLLM]]:
        async with AsyncLLM(bundle) as llm:
            yield {"llm": llm}

    async def answer(request: Request) -> StreamingResponse:
        question = request.query_params.get("question", "")
        messages = [{"role": "user", "content": question}]
        try:
            stream = request.state.llm.stream(messages, PARAMS)
        except NanoAccelError as error:  # too long, or too many wait: nothing was sent yet
            raise HTTPException(400, str(error)) from error

        async def events() -> AsyncIterator[str]:
            # A client that goes away ends this generator, and leaving the block the request.
            async with stream:
                async for chunk in stream:
                    data = {"text": chunk.text, "finish_reason": chunk.finish_reason}
                    yield f"data: {json.dumps(data)}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return Starlette(routes=[Route("/", answer)], lifespan=lifespan)


def main(bundle: str, port: str = "8000") -> None:
    uvicorn.run(application(bundle), port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
