"""The software bill of materials of the daemon's package: CycloneDX 1.6 as JSON, from the metadata of the wheels."""

import hashlib
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageMetadata, distributions
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from python import EXTRA
from source import SUMMARY, VERSION, epoch

SPECIFICATION: Final = "1.6"
LICENSE_PREFIX: Final = "License :: "
SHORT: Final = 80
"""A longer `License` field is the license's text, not its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package. `importlib.metadata` parses the whole file again for each field that it returns."""

    metadata: PackageMetadata
    requires: tuple[Requirement, ...]

    @property
    def name(self) -> str:
        return self.metadata["Name"]

    @property
    def version(self) -> str:
        return self.metadata["Version"]


def packages(site: Path) -> list[Package]:
    """Read the packages in the folder `site`, in no order."""
    return [
        Package(metadata=each.metadata, requires=tuple(map(Requirement, each.requires or ())))
        for each in distributions(path=[str(site)])
    ]


def text(site: Path, wheels: Sequence[Path]) -> str:
    """Return the document for the packages in the folder `site`, with the digest of each wheel."""
    found = sorted(packages(site), key=lambda each: _normal(each.name))
    digests = {_normal(path.name.split("-")[0]): hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels}
    others = [each for each in found if _normal(each.name) != "fenced"]
    at = datetime.fromtimestamp(epoch(), UTC).isoformat().replace("+00:00", "Z")
    document: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "version": 1,
        "metadata": {
            "timestamp": at,
            "component": {
                "type": "application",
                "bom-ref": _reference("fenced", VERSION),
                "name": "fenced",
                "version": VERSION,
                "description": SUMMARY,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "purl": _reference("fenced", VERSION),
            },
        },
        "components": [_component(each, digests[_normal(each.name)]) for each in others],
        "dependencies": _dependencies(found),
    }
    name = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, name)}"
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def license_of(package: Package) -> str:
    """Return the license that a package states: an SPDX expression, or the name that its author gives it."""
    stated = package.metadata.get("License-Expression") or package.metadata.get("License") or ""
    if stated and len(stated) < SHORT and "\n" not in stated:
        return stated
    classified = [line for line in package.metadata.get_all("Classifier") or () if line.startswith(LICENSE_PREFIX)]
    return ", ".join(line.rpartition(" :: ")[2] for line in classified) or "see its license files"


def _component(package: Package, digest: str) -> dict[str, Any]:
    expression = package.metadata.get("License-Expression")
    stated = {"expression": expression} if expression else {"license": {"name": license_of(package)}}
    reference = _reference(package.name, package.version)
    return {
        "type": "library",
        "bom-ref": reference,
        "name": package.name,
        "version": package.version,
        "licenses": [stated],
        "purl": reference,
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }


def _dependencies(found: Sequence[Package]) -> list[dict[str, Any]]:
    """Return who needs whom. An extra that any package asks for counts: sqlalchemy[asyncio] needs greenlet."""
    references = {_normal(each.name): _reference(each.name, each.version) for each in found}
    asked: dict[str, set[str]] = {"fenced": {EXTRA}}
    for each in found:
        for requirement in each.requires:
            asked.setdefault(_normal(requirement.name), set()).update(requirement.extras)
    listed = []
    for each in found:
        extras = {"", *asked.get(_normal(each.name), set())}
        needed = {
            references[_normal(requirement.name)]
            for requirement in each.requires
            if _normal(requirement.name) in references
            and (requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras))
        }
        listed.append({"ref": references[_normal(each.name)], "dependsOn": sorted(needed)})
    return listed


def _reference(name: str, version: str) -> str:
    return f"pkg:pypi/{_normal(name)}@{version}"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
