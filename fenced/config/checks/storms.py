"""Checks what fails together: the keys of `gates.storm.domains`."""

from collections.abc import Iterator
from typing import Final

from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, warning
from fenced.model.inventory import PLACES

OF_ONE_HOST: Final = {"host": "a host is no failure domain", "role": "a host may have several roles"}


def domains(draft: Draft) -> Iterator[Finding]:
    """Each names a place, or a label that some host has."""
    where = draft.where.key("gates").key("storm").key("domains")
    labels = {key for built in draft.hosts for key, _ in built.host.labels}
    for index, key in enumerate(draft.main.gates.storm.domains):
        if key in OF_ONE_HOST:
            yield error(
                where.item(index), f"{OF_ONE_HOST[key]}: use {', '.join(PLACES)}, or a label", value=key, unit="name",
                rests_on=(where,),
            )  # fmt: skip
        elif key not in PLACES and key not in labels and draft.hosts:
            yield warning(
                where.item(index), "no host has a label of this key, so it holds nothing: give hosts "
                f'`labels = {{ {key} = "VALUE" }}`, or leave it out', value=key, unit="name", rests_on=(where,),
            )  # fmt: skip
