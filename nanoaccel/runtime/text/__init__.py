"""Text to token ids and back: tokenizer, chat template, streaming detokenizer, stop strings."""

from nanoaccel.runtime.text.chat_template import ChatTemplate
from nanoaccel.runtime.text.detokenizer import Detokenizer
from nanoaccel.runtime.text.stop import StopMatcher
from nanoaccel.runtime.text.tokenizer import Tokenizer

__all__ = ["ChatTemplate", "Detokenizer", "StopMatcher", "Tokenizer"]
