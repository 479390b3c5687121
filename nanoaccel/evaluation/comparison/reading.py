"""Two models read the same answers, one model after the other.

The first one's predictions wait in a file: logits in f16, as their distance from the largest, where
f16 is finest.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

from nanoaccel.calibration.metrics import Fidelity, FidelityMeter, log_softmax
from nanoaccel.errors import ConfigError
from nanoaccel.evaluation.comparison.result import ReadToken
from nanoaccel.evaluation.logits import BundleLogits, Passage, Rows
from nanoaccel.folders import cache_folder
from nanoaccel.text import Tokenizer

_LEAST = float(np.finfo(np.float16).min)

_REMEDY = "Give fewer prompts or max_tokens, or set NANOACCEL_CACHE to a folder with room"

Tell = Callable[[float], None]


class AnswerText:
    """A prompt and the answer behind it, which models read.

    Args:
        prompt: Token ids, 1 or more.
        answer: Token ids, 1 or more.

    Attributes:
        first: Place of the token that predicts the answer's first.
        answer_tokens: Tokens of the answer.
    """

    def __init__(self, prompt: Sequence[int], answer: Sequence[int]) -> None:
        self._ids = np.array([*prompt, *answer], np.int64)
        self.first = len(prompt) - 1
        self.answer_tokens = len(answer)

    @property
    def passage(self) -> Passage:
        """What a model reads, and where it begins to predict the answer."""
        return Passage(self._ids[:-1], self.first)

    def tokens_along(self, rows: Rows) -> NDArray[np.int64]:
        """The tokens behind which some rows predict, and one more: i64[R+1]."""
        return self._ids[rows.begin : rows.begin + 1 + len(rows.logits)]


class PredictionFile:
    """Rows of logits in a file without a name in the cache folder, written once and read once.

    Raises:
        ConfigError: It cannot be made, or the disk is full.
    """

    def __init__(self) -> None:
        try:
            cache_folder().mkdir(parents=True, exist_ok=True)
            self._file = TemporaryFile(dir=cache_folder())  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise _cannot_keep(error) from error

    def check_room(self, rows: int, width: int) -> None:
        """See that so many rows of that width will fit, before the disk is full of them.

        Raises:
            ConfigError: They will not.
        """
        needed, free = 2 * rows * width, shutil.disk_usage(cache_folder()).free
        if needed > free:
            raise ConfigError(
                f"what the first model predicts takes {needed / 1e9:.1f} GB in {cache_folder()}, "
                f"and {free / 1e9:.1f} GB are free",
                _REMEDY,
            )

    def append(self, logits: NDArray[np.float32]) -> None:
        """Write rows f32[R, V]."""
        distance = logits - logits.max(axis=-1, keepdims=True)
        try:
            self._file.write(np.maximum(distance, _LEAST).astype(np.float16).tobytes())
        except OSError as error:
            raise _cannot_keep(error) from error

    def rewind(self) -> None:
        """Go to the first row."""
        try:
            self._file.seek(0)
        except OSError as error:  # what was written last did not fit
            raise _cannot_keep(error) from error

    def next(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The next rows, f32 of that shape."""
        data = self._file.read(2 * shape[0] * shape[1])
        return np.frombuffer(data, np.float16).reshape(shape).astype(np.float32)

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def keep_predictions(
    logits: BundleLogits, texts: Sequence[AnswerText], file: PredictionFile, tell: Tell
) -> None:
    """Write what a model predicts along some answers into a file, row by row.

    Args:
        logits: The model.
        texts: What it reads.
        file: Empty; at its first row behind it.
        tell: Called with the share that is done.

    Raises:
        ConfigError: The disk is full.
    """
    file.check_room(sum(text.answer_tokens for text in texts), logits.vocab_size)
    for rows in logits.read([text.passage for text in texts]):
        file.append(rows.logits)
        tell((rows.passage + 1) / len(texts))
    file.rewind()


def read_beside(
    logits: BundleLogits,
    texts: Sequence[AnswerText],
    file: PredictionFile,
    tokenizer: Tokenizer,
    tell: Tell,
) -> tuple[list[list[ReadToken]], Fidelity]:
    """Compare a model's predictions with those that a file keeps.

    Args:
        logits: The model.
        texts: As they were when the file was written.
        file: At its first row.
        tokenizer: Of both models.
        tell: Called with the share that is done.

    Returns:
        Tokens of each answer, and the summary.
    """
    meter = FidelityMeter()
    found: list[list[ReadToken]] = [[] for _ in texts]
    for rows in logits.read([text.passage for text in texts]):
        expected = file.next(rows.logits.shape)
        along = texts[rows.passage].tokens_along(rows)
        kl = meter.add(rows.logits, expected, along)
        found[rows.passage] += _tokens(rows.logits, expected, along[1:], kl, tokenizer)
        tell((rows.passage + 1) / len(texts))
    return found, meter.result("the answers of the first")


def _tokens(
    logits: NDArray[np.float32],
    expected: NDArray[np.float32],
    right: NDArray[np.int64],
    kl: NDArray[np.float32],
    tokenizer: Tokenizer,
) -> list[ReadToken]:
    """What both models say of each token.

    Args:
        logits: f32[R, V] of B.
        expected: f32[R, V] of A.
        right: i64[R], the tokens.
        kl: f32[R].
        tokenizer: Of both.
    """
    places = np.arange(len(right))
    likeliest = logits.argmax(axis=-1)
    of_a = np.exp(log_softmax(expected)[places, right])
    of_b = np.exp(log_softmax(logits)[places[:, None], np.stack([right, likeliest], axis=1)])
    return [
        ReadToken(
            float(kl[i]),
            float(of_a[i]),
            float(of_b[i, 0]),
            tokenizer.decode([int(likeliest[i])], skip_special_tokens=False),
            float(of_b[i, 1]),
        )
        for i in range(len(right))
    ]


def _cannot_keep(error: OSError) -> ConfigError:
    return ConfigError(
        f"what the first model predicts cannot be kept in {cache_folder()}: {error.strerror}",
        _REMEDY,
    )
