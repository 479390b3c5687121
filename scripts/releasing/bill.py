"""The software bill of materials (CycloneDX) of what a wheel carries, and of what it needs."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import NamedTuple

from cyclonedx.builder.this import this_component
from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from .refused import RefusedError

_LICENCE = "Apache-2.0"
_RUNTIME_EXCEPTION = "GPL-3.0-or-later WITH GCC-exception-3.1"


class Part(NamedTuple):
    """What stands in a wheel and was not written for it.

    Args:
        name: Of the part.
        where: In paths of the wheel's files.
        licence: An SPDX expression.
        kind: Of CycloneDX.
    """

    name: str
    where: str
    licence: str
    kind: ComponentType


PARTS = (
    # Linked into the operators, and trained on texts of that model.
    Part("libstdc++", "libnanoaccel_operators.so", _RUNTIME_EXCEPTION, ComponentType.LIBRARY),
    Part("libgcc", "libnanoaccel_operators.so", _RUNTIME_EXCEPTION, ComponentType.LIBRARY),
    Part(
        "SmolLM2-135M-Instruct's draft head",
        "heads/smollm2-135m-instruct/",
        _LICENCE,
        ComponentType.MACHINE_LEARNING_MODEL,
    ),
)


class Installed(NamedTuple):
    """A distribution beside the wheel in a clean environment; its licence as it states it."""

    name: str
    version: str
    licence: str | None


def bill_of(wheel: Path, version: str, installed: list[Installed]) -> str:
    """The bill as JSON."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    licences = LicenseFactory()
    bom = Bom()
    bom.metadata.tools.components.add(this_component())
    root = Component(
        name="nanoaccel",
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=wheel.name,
        purl=PackageURL("pypi", None, "nanoaccel", version, {"file_name": wheel.name}),
        licenses=[licences.make_from_string(_LICENCE)],
        hashes=[
            HashType(
                alg=HashAlgorithm.SHA_256, content=hashlib.sha256(wheel.read_bytes()).hexdigest()
            )
        ],
    )
    bom.metadata.component = root
    for part in PARTS:
        if any(part.where in name for name in names):
            licence = licences.make_from_string(part.licence)
            root.components.add(Component(name=part.name, type=part.kind, licenses=[licence]))
    needed = []
    for one in installed:
        component = Component(
            name=one.name,
            version=one.version,
            type=ComponentType.LIBRARY,
            bom_ref=f"{one.name}=={one.version}",
            purl=PackageURL("pypi", None, one.name.lower(), one.version),
            licenses=[licences.make_from_string(one.licence)] if one.licence else [],
        )
        bom.components.add(component)
        needed.append(component)
    bom.register_dependency(root, needed)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise RefusedError(f"the bill of {wheel.name} is not CycloneDX: {problem}")
    return text + "\n"
