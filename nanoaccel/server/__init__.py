"""The HTTP server: OpenAI's and Anthropic's APIs over bundles, and a page, in one process.

connections/ sockets, and calls within this process
http/        bodies, fields, event streams, keys, hosts, the request log
generation/  from prompts to completions on their way
models/      which bundles are loaded, and the text of single tokens
chat/        chats apart from a wire format: what is asked, and what a reply holds
openai/      the endpoints that OpenAI's clients call
responses/   OpenAI's responses
anthropic/   Anthropic's messages
operators/   health, readiness, the machine
metrics/     histograms and Prometheus text
page/        what a browser shows at /
"""
