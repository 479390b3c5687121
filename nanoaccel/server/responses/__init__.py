"""OpenAI's responses, of a server that keeps none.

items.py      input items, as chat templates take them
request.py    the other fields
output.py     a reply as output items, and the events that tell of them
events.py     how events and errors are written
response.py   the object that all of it stands in
endpoint.py   the endpoints
"""
