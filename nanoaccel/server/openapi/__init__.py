"""The description of the API that the server publishes at ``/openapi.json``.

fields.py        what a field of a request may be
answers.py       what answers look like
operations.py    the table: each method and path with its fields and its answer
document.py      the OpenAPI document made of it, and its endpoint
"""
