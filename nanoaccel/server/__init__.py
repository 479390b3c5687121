"""The HTTP server: OpenAI's API over bundles, and a page for people, in one process.

http/        bodies, fields, event streams, keys, hosts, the request log
models/      which bundles are loaded, and the text of single tokens
chat/        chats apart from a wire format: what is asked, and what a reply holds
openai/      the endpoints that OpenAI's clients call
metrics/     histograms and Prometheus text
page/        what a browser shows at /
"""
