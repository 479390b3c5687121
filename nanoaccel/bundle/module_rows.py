"""Which modules of the original a graph's products are, as graphs for ONNX say in their metadata.

A product may be that of several modules that read one input: the rows of their matrices stand one
behind the other. What is not told is no module's matrix as it is: its columns are in another order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nanoaccel.errors import BundleDamagedError

METADATA = "nanoaccel.modules"


@dataclass(frozen=True, slots=True)
class ModuleRows:
    """A module of a product.

    Args:
        module: Its name in the original, such as "model.layers.0.self_attn.q_proj".
        rows: Outputs of its matrix.
    """

    module: str
    rows: int


def write_modules(modules: Mapping[str, Sequence[ModuleRows]]) -> str:
    """A text of the modules of each product, by the product's name.

    >>> write_modules({"/up": [ModuleRows("up", 4)]})
    '{"/up":[["up",4]]}'
    """
    plain = {name: [[one.module, one.rows] for one in ones] for name, ones in modules.items()}
    return json.dumps(plain, separators=(",", ":"))


def read_modules(text: str) -> dict[str, list[ModuleRows]]:
    """The inverse of ``write_modules``.

    Raises:
        BundleDamagedError: It is something else.
    """
    try:
        return {
            str(name): [ModuleRows(str(module), int(rows)) for module, rows in ones]
            for name, ones in json.loads(text).items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise BundleDamagedError(
            f"a graph says modules={text[:40]!r}, which are no modules of products",
            "Export the model again",
        ) from error
