"""A conversation over a websocket: python examples/streaming/websocket.py BUNDLE [PORT]

pip install websockets
python -m websockets ws://127.0.0.1:8000/        # each line that you type is a message
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from nanoaccel import AsyncLLM, NanoAccelError, SamplingParams

PARAMS = SamplingParams(max_tokens=256)


def application(bundle: str) -> Starlette:
    """An application with one websocket: texts come in, JSON with pieces of the answer goes out."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, AsyncLLM]]:
        async with AsyncLLM(bundle) as llm:
            yield {"llm": llm}

    async def converse(socket: WebSocket) -> None:
        await socket.accept()
        messages: list[dict[str, str]] = []
        async for text in socket.iter_text():
            messages.append({"role": "user", "content": text})
            answer = ""
            try:
                # What was said before is in the cache: only the new message is computed.
                async with socket.state.llm.stream(messages, PARAMS) as stream:
                    async for chunk in stream:
                        answer += chunk.text
                        said = {"text": chunk.text, "finish_reason": chunk.finish_reason}
                        await socket.send_json(said)
            except NanoAccelError as error:
                await socket.send_json({"error": str(error)})
            messages.append({"role": "assistant", "content": answer})

    return Starlette(routes=[WebSocketRoute("/", converse)], lifespan=lifespan)


def main(bundle: str, port: str = "8000") -> None:
    uvicorn.run(application(bundle), port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
