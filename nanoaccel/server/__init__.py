"""The HTTP server: OpenAI's and Anthropic's APIs over bundles, and a page, in one process.

http/        bodies, fields, event streams, keys, hosts, the request log
models/      which bundles are loaded, and the text of single tokens
chat/        chats apart from a wire format: what is asked, and what a reply holds
openai/      the endpoints that OpenAI's clients call
responses/   OpenAI's responses
anthropic/   Anthropic's messages
metrics/     histograms and Prometheus text
page/        what a browser shows at /
"""
