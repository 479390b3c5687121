"""The keys of a GGUF file, each of which has to be used."""

from __future__ import annotations

import difflib
from pathlib import Path

from nanoaccel.errors import UnsupportedModelError
from nanoaccel.exporters.source.gguf.metadata import GGUFMetadata

# Keys that say where a model comes from, and what others of this package read.
_HARMLESS = ("general.", "tokenizer.", "quantize.", "split.", "mradermacher.", "imatrix.")
# Values of a model's own keys with which they change nothing, for every architecture.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "expert_count": (0,),
    "expert_used_count": (0,),
    "expert_shared_count": (0,),
    "logit_scale": (0, 1),
    "embedding_scale": (0, 1),
    "residual_scale": (0, 1),
    "attention.scale": (0,),
    "attention.sliding_window": (0,),
    "attention.clamp_kqv": (0,),
    "attention.max_alibi_bias": (0,),
    "attention.causal": (True,),
    "attn_logit_softcapping": (0,),
    "final_logit_softcapping": (0,),
    "pooling_type": (0,),
    "nextn_predict_layers": (0,),
    "rope.scaling.finetuned": (True, False),
    "rope.scaling.yarn_ext_factor": (1,),
    "rope.scaling.yarn_log_multiplier": (0,),
    "rope.scaling.alpha": (0,),
    "use_parallel_residual": (False,),
    "tensor_data_layout": ("Meta AI original pth",),
}


class Keys:
    """The keys of one file, without the architecture's prefix.

    Args:
        metadata: Metadata of the file.
    """

    def __init__(self, metadata: GGUFMetadata) -> None:
        self._metadata = metadata
        self._used: set[str] = set()

    @property
    def path(self) -> Path:
        """The file."""
        return self._metadata.path

    def has(self, name: str) -> bool:
        """Whether the file has a key."""
        return self._full(name) in self._metadata.fields

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number; without a default it has to be there."""
        full = self._use(name)
        found = self._metadata.find(full, int)
        if found is not None:
            return found
        return self._metadata.require(full, int) if default is None else default

    def number(self, name: str, default: float | None = None) -> float:
        """A number; without a default it has to be there."""
        full = self._use(name)
        found = self._metadata.find(full, float)
        if found is not None:
            return found
        return self._metadata.require(full, float) if default is None else default

    def text(self, name: str, default: str) -> str:
        """A word."""
        found = self._metadata.find(self._use(name), str)
        return default if found is None else found

    def flag(self, name: str) -> bool | None:
        """A flag, if it is there."""
        return self._metadata.find(self._use(name), bool)

    def pattern(self, name: str) -> int | tuple[bool, ...]:
        """A period, or a flag for each layer."""
        full = self._use(name)
        if isinstance(self._metadata.fields.get(full), tuple):
            return self._metadata.require_array(full, bool)
        return self._metadata.require(full, int)

    def refusal(self, name: str, value: object) -> UnsupportedModelError:
        """The error for an unsupported value."""
        return UnsupportedModelError(
            f"{self.path} has {self._full(name)} = {value!s:.60}, which cannot be exported",
            "Export the original checkpoint instead",
        )

    def check_all_used(self) -> None:
        """Refuse keys that nobody read, and whose values change something.

        Raises:
            UnsupportedModelError: There is one.
        """
        prefix = self._full("")
        for key, value in self._metadata.fields.items():
            if key in self._used or key.startswith(_HARMLESS):
                continue
            name = key.removeprefix(prefix)
            if key.startswith(prefix) and value in _NEUTRAL.get(name, ()):
                continue
            close = difflib.get_close_matches(key, self._used, n=1)
            hint = f" (did its writer mean {close[0]}?)" if close and name not in _NEUTRAL else ""
            raise UnsupportedModelError(
                f"{self.path} has {key} = {value!s:.60}, which is not known for this "
                f"architecture{hint}",
                "Export the original checkpoint instead",
            )

    def _full(self, name: str) -> str:
        return f"{self._metadata.architecture}.{name}"

    def _use(self, name: str) -> str:
        full = self._full(name)
        self._used.add(full)
        return full
