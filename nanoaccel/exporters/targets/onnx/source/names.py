"""Names of modules and nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MODULE = "__module."
_KIND = "aten::"


def path_of(name: str) -> str:
    """A name as a path, such as "/model/layers.0/mlp/mul/Multiply".

    >>> path_of("__module.model.layers.0.mlp/aten::mul/Multiply")
    '/model/layers.0/mlp/mul/Multiply'
    """
    module, slash, rest = name.removeprefix(_MODULE).partition("/")
    return "/" + re.sub(r"\.(?!\d)", "/", module) + slash + rest.replace(_KIND, "")


def joined_path(modules: Sequence[str]) -> str:
    """A name for products of several modules, such as "/layers.0/mlp/gate_proj+up_proj"."""
    first, *more = (path_of(module) for module in modules)
    return "+".join([first, *(path.rpartition("/")[2] for path in more)])
