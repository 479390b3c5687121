"""Text to token ids and back: tokenizer, chat templates, streaming detokenizer, stop strings."""

from nanoaccel.text.chat_options import ChatOptions
from nanoaccel.text.chat_template import ChatTemplate
from nanoaccel.text.detokenizer import Detokenizer
from nanoaccel.text.output_text import OutputText
from nanoaccel.text.stop import StopMatcher
from nanoaccel.text.tokenizer import Tokenizer

__all__ = [
    "ChatOptions",
    "ChatTemplate",
    "Detokenizer",
    "OutputText",
    "StopMatcher",
    "Tokenizer",
]
