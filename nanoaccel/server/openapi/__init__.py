"""The description of the API that the server publishes at ``/openapi.json``.

kinds.py         what schemas are made of
fields.py        what a field of a request may be
responses.py     the fields of OpenAI's responses, and their answers
anthropic.py     the fields of Anthropic's messages, and their answers
answers.py       what all other answers look like
operations.py    the table: each method and path with its fields and its answer
document.py      the OpenAPI document made of it, and its endpoint
"""
