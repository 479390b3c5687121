"""Every error that NanoAccel raises on purpose.

    NanoAccelError
    ├── ConfigError             an option has a wrong value            (also a ValueError)
    │   └── SamplingError       sampling parameters that contradict each other or lie out of range
    ├── SourceError             the model to export cannot be found or read
    │   └── GGUFError           ... because the GGUF file is truncated, foreign or incomplete
    ├── UnsupportedModelError   the model was read, but its architecture cannot be exported
    ├── ExportError             the export failed: disk full, output in use, a stage that broke
    ├── BundleError             a folder is not a bundle, or not one that this version can open
    │   └── BundleDamagedError  ... because a file of it is missing, truncated or altered
    ├── AdapterError            an adapter cannot be read, or does not fit the model
    ├── RequestError            a request was refused before it ran    (also a ValueError)
    │   ├── EmptyPromptError    ... because there is nothing to continue
    │   ├── PromptTooLongError  ... because it does not fit the context or the cache
    │   └── QueueFullError      ... because too many requests wait already
    ├── GenerationError         a request failed while it ran
    ├── ClosedError             something was used after it was closed
    │   └── ForkedError         ... or in a process that was forked after it was opened
    ├── StreamConsumedError     a stream was iterated a second time
    ├── CallbackError           a callback of the user raised
    ├── DrafterError            a drafter failed, and is switched off
    ├── PluginError             a plugin cannot be used, or failed
    ├── PromptCacheError        the folder of a prompt cache cannot be used
    └── MissingExtraError       an optional dependency is not installed (also an ImportError)

A message is one line: it names the option or file, the value, and the remedy. What a library says
in several lines, and is quoted in a message, becomes one.
"""


class NanoAccelError(Exception):
    """Base of all errors below.

    Args:
        problem: What is wrong, naming the option or file and its value.
        remedy: What to do about it, as a sentence; shown after the problem.

    Examples:
        >>> from nanoaccel import LLM, NanoAccelError
        >>> try:
        ...     llm = LLM("nowhere")
        ... except NanoAccelError as error:
        ...     print(error.problem)
        nowhere is not a folder
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str | None = None) -> None:
        problem = " ".join(line.strip() for line in problem.splitlines())
        self.problem = problem
        self.remedy = remedy
        super().__init__(problem if remedy is None else f"{problem}. {remedy}")


class ConfigError(NanoAccelError, ValueError):
    """An option has a wrong value."""

    exit_code = 2


class SamplingError(ConfigError):
    """Sampling parameters contradict each other or lie out of range."""


class SourceError(NanoAccelError):
    """The model to export cannot be found or read."""


class GGUFError(SourceError):
    """A GGUF file is truncated, foreign or incomplete."""


class UnsupportedModelError(NanoAccelError):
    """The model was read, but its architecture cannot be exported."""


class ExportError(NanoAccelError):
    """The export failed after the model was read."""


class BundleError(NanoAccelError):
    """A folder is not a bundle, or not one that this version can open."""


class BundleDamagedError(BundleError):
    """A file of the bundle is missing, truncated or altered."""


class AdapterError(NanoAccelError):
    """An adapter cannot be read, or does not fit the model."""


class RequestError(NanoAccelError, ValueError):
    """A request was refused before it ran."""

    exit_code = 2


class EmptyPromptError(RequestError):
    """The prompt holds no token."""


class PromptTooLongError(RequestError):
    """The prompt does not fit the model's context or the cache.

    Args:
        problem: As in ``NanoAccelError``.
        remedy: As there.
        prompt_tokens: Tokens of the prompt.
        context_length: Tokens of prompt and text together that fit.
        at_least: Whether the prompt may have more tokens than ``prompt_tokens``: it was refused
            before it was encoded.
    """

    def __init__(
        self,
        problem: str,
        remedy: str | None = None,
        *,
        prompt_tokens: int = 0,
        context_length: int = 0,
        at_least: bool = False,
    ) -> None:
        super().__init__(problem, remedy)
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length
        self.at_least = at_least


class QueueFullError(RequestError):
    """The queue holds as many requests as it may."""

    exit_code = 1


class GenerationError(NanoAccelError):
    """A request failed while it ran."""


class ClosedError(NanoAccelError):
    """Something was used after it was closed."""


class ForkedError(ClosedError):
    """Something was used in a process that was forked after it was opened."""


class StreamConsumedError(NanoAccelError):
    """A stream was iterated a second time."""


class CallbackError(NanoAccelError):
    """A callback of the user raised."""


class DrafterError(NanoAccelError):
    """A drafter raised, or proposed a token that the model does not have."""


class PluginError(NanoAccelError):
    """A plugin cannot be imported, is for another version of the interface, or failed.

    Args:
        problem: As in ``NanoAccelError``.
        remedy: As there.
        part: The plugin, as "grammar 'mine'": what may be told to who is not to know the reason.
    """

    def __init__(self, problem: str, remedy: str | None = None, *, part: str = "a plugin") -> None:
        super().__init__(problem, remedy)
        self.part = part


class PromptCacheError(NanoAccelError):
    """The folder of a prompt cache cannot be read, written or locked."""


class MissingExtraError(NanoAccelError, ImportError):
    """An optional dependency is not installed."""
