"""The server: OpenAI's API over the engine, and a page for people."""
