"""A chat in a window that never freezes: python examples/desktop.py BUNDLE

The window's thread only draws. Another one loads the model and reads its answers, and a queue
between them carries text. Closing the window, or Stop, ends an answer at once.
"""

import queue
import sys
import threading
import tkinter as tk
from tkinter import scrolledtext

from nanoaccel import LLM, NanoAccelError, SamplingParams

PARAMS = SamplingParams(max_tokens=512, temperature=0.7)
MILLISECONDS = 30  # between two looks into the queue


class Writer:
    """Answers in a thread of its own.

    Attributes:
        written: Pieces of answers as they come; None ends each.
    """

    def __init__(self, bundle: str) -> None:
        self.written: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stop, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(bundle,))
        self._thread.start()

    def ask(self, text: str) -> None:
        """Put a message into the conversation."""
        self._asked.put(text)

    def stop(self) -> None:
        """End the answer that is being written."""
        self._stop.set()

    def close(self) -> None:
        """End the thread, and free the model."""
        self._closed.set()
        self._asked.put(None)
        self._thread.join()

    def _run(self, bundle: str) -> None:
        try:
            # Unless told, the cache takes a quarter of the free memory.
            with LLM(bundle, kv_cache_memory="512MB") as llm:
                messages: list[dict[str, str]] = []
                while (text := self._asked.get()) is not None:
                    self._stop.clear()
                    messages.append({"role": "user", "content": text})
                    messages.append({"role": "assistant", "content": self._write(llm, messages)})
        except NanoAccelError as error:
            self.written.put(f"[{error}]")
            self.written.put(None)

    def _write(self, llm: LLM, messages: list[dict[str, str]]) -> str:
        answer = ""
        with llm.stream(messages, PARAMS) as stream:
            for chunk in stream:
                answer += chunk.text
                self.written.put(chunk.text)
                if self._stop.is_set() or self._closed.is_set():
                    break  # leaving the block cancels the request
        self.written.put(None)
        return answer


class Window:
    """Shows a conversation."""

    def __init__(self, root: tk.Tk, writer: Writer) -> None:
        self._root, self._writer = root, writer
        self._text = scrolledtext.ScrolledText(root, wrap="word", state="disabled")
        self._entry = tk.Entry(root)
        button = tk.Button(root, text="Stop", command=writer.stop)
        self._text.pack(fill="both", expand=True)
        self._entry.pack(side="left", fill="x", expand=True)
        button.pack(side="right")
        self._entry.bind("<Return>", self._send)
        root.after(MILLISECONDS, self._draw)

    def _send(self, _: object) -> None:
        text = self._entry.get()
        if text:
            self._entry.delete(0, "end")
            self._show(f"> {text}\n")
            self._writer.ask(text)

    def _draw(self) -> None:
        while not self._writer.written.empty():
            piece = self._writer.written.get()
            self._show("\n\n" if piece is None else piece)
        self._root.after(MILLISECONDS, self._draw)

    def _show(self, text: str) -> None:
        self._text.configure(state="normal")
        self._text.insert("end", text)
        self._text.configure(state="disabled")
        self._text.see("end")


def main(bundle: str) -> None:
    root = tk.Tk()
    root.title("NanoAccel")
    writer = Writer(bundle)
    Window(root, writer)
    try:
        root.mainloop()
    finally:
        writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
