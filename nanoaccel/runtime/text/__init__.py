"""Text to token ids and back: tokenizer, chat templates, streaming detokenizer, stop strings."""

from nanoaccel.runtime.text.chat_options import ChatOptions
from nanoaccel.runtime.text.chat_template import ChatTemplate
from nanoaccel.runtime.text.detokenizer import Detokenizer
from nanoaccel.runtime.text.output_text import OutputText
from nanoaccel.runtime.text.stop import StopMatcher
from nanoaccel.runtime.text.tokenizer import Tokenizer

__all__ = [
    "ChatOptions",
    "ChatTemplate",
    "Detokenizer",
    "OutputText",
    "StopMatcher",
    "Tokenizer",
]
