"""Records become token ids, with those that are learned marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoaccel.errors import RequestError
from nanoaccel.finetune.data.chat_mask import MarkedText, NoPlaceError, mark_answers
from nanoaccel.finetune.data.records import Completion, Conversation, PlainText, Problem, Row
from nanoaccel.text import Tokenizer

Long: TypeAlias = Literal["cut", "drop", "refuse"]


@dataclass(frozen=True, slots=True)
class Example:
    """Tokens that are read together.

    Args:
        where: Place of the row.
        ids: i32[T].
        taught: bool[T], the tokens that the model learns to write.
    """

    where: str
    ids: NDArray[np.int32]
    taught: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def key(self) -> bytes:
        """Same for examples that teach the same."""
        return self.ids.tobytes() + self.taught.tobytes()

    @property
    def answer_begin(self) -> int:
        """Place of the first token of the last answer."""
        untaught = np.flatnonzero(~self.taught[: int(np.flatnonzero(self.taught)[-1])])
        return int(untaught[-1]) + 1 if len(untaught) else 0


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns rows into examples.

    Args:
        tokenizer: Of the model.
        longest: Tokens of an example at most.
        raw: Whether prompts are continued as they are, without the chat template.
    """

    tokenizer: Tokenizer
    longest: int
    raw: bool = False

    def encode(self, row: Row) -> list[Example] | Problem:
        """The examples of a row: one as a rule; a long text is cut into several.

        Returns:
            Examples that may be longer than ``longest``, those of plain text apart; or why the
            row cannot be learned.
        """
        record = row.record
        try:
            if isinstance(record, PlainText):
                return self._plain(row.where, record.text)
            if isinstance(record, Completion) and (self.raw or not self._chats):
                return [self._completion(row.where, record)]
            if isinstance(record, Completion):
                record = _as_messages(record)
            if not self._chats:
                return Problem(row.where, "has messages, and the model has no chat template")
            marked = mark_answers(record, self.tokenizer)
            return [self._marked(row.where, text) for text in marked]
        except NoPlaceError as error:
            return Problem(row.where, str(error))
        except RequestError as error:
            return Problem(row.where, f"cannot be encoded: {error}")

    @property
    def _chats(self) -> bool:
        return self.tokenizer.has_chat_template

    @property
    def _end(self) -> list[int]:
        """The token that ends a text, where there is one."""
        token = self.tokenizer.added_tokens.get(self.tokenizer.eos_token)
        return [] if token is None else [token]

    def _plain(self, where: str, text: str) -> list[Example]:
        ids = _without_end(self.tokenizer.encode(text), self._end) + self._end
        pieces = [ids[begin : begin + self.longest] for begin in range(0, len(ids), self.longest)]
        return [_example(where, piece, 0) for piece in pieces if len(piece) > 1]

    def _completion(self, where: str, record: Completion) -> Example:
        text = record.prompt + record.answer
        ids, places = self.tokenizer.encode_with_places(text)
        kept = _without_end(ids, self._end)
        begin = _first_at(places[: len(kept)], len(record.prompt))
        return _example(where, kept + self._end, begin)

    def _marked(self, where: str, marked: MarkedText) -> Example:
        ids, places = self.tokenizer.encode_with_places(marked.text, add_special_tokens=False)
        taught = np.zeros(len(ids), bool)
        for begin, end in marked.spans:
            taught[_first_at(places, begin) : _first_at(places, end)] = True
        return Example(where, np.array(ids, np.int32), taught)


def fit(examples: Sequence[Example], longest: int) -> list[Example]:
    """Examples cut behind ``longest`` tokens; those without anything left to learn are left out."""
    cut = [Example(one.where, one.ids[:longest], one.taught[:longest]) for one in examples]
    return [one for one in cut if one.taught[1:].any()]


def _as_messages(record: Completion) -> Conversation:
    return Conversation(
        (
            {"role": "user", "content": record.prompt},
            {"role": "assistant", "content": record.answer},
        )
    )


def _example(where: str, ids: Sequence[int], begin: int) -> Example:
    taught = np.arange(len(ids)) >= begin
    return Example(where, np.array(ids, np.int32), taught)


def _without_end(ids: list[int], end: list[int]) -> list[int]:
    """Without the end that some tokenizers add themselves."""
    return ids[:-1] if end and ids[-1:] == end else ids


def _first_at(places: Sequence[int], place: int) -> int:
    """The first token that begins at a character or behind it."""
    return int(np.searchsorted(np.asarray(places), place, "left"))
