"""Anthropic's messages.

conversation.py   messages, system prompt and tools, as chat templates take them
request.py        the other fields
blocks.py         a reply as content blocks, and the events that tell of them
events.py         how events and errors are written
messages.py       the endpoints
"""
