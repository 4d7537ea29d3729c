"""What `fenced store adopt` and `fenced store upgrade` print: texts from what was found, no decisions."""

from collections.abc import Iterator
from pathlib import Path

from fenced.journal.adopting import Known, Step
from fenced.journal.controllers import FormatReader
from fenced.journal.upgrading import Upgraded


def known(it: Known, *, place: str, state_dir: Path) -> Iterator[str]:
    """Yield what the database says, what the state directory knows, and where they disagree."""
    stands = it.stands
    yield f"{place}: store {stands.id}, schema {it.schema}, format {stands.format}"
    yield f"belongs to the database {stands.home or 'not noted'}; this one is {stands.server or 'not known'}"
    newest = ", ".join(f"{number} (shard {shard})" for shard, number in sorted(it.newest.items()))
    yield f"newest epoch {it.epoch}, newest record {newest or 'none'}, lease held by {it.holder or 'nobody'}"
    seen = it.seen
    of_seen = f", seen up to epoch {seen.epoch} and record {seen.mark.sequence}" if seen and seen.store else ""
    yield f"{state_dir}: belongs to {f'store {it.kept}' if it.kept else 'no store yet'}{of_seen}"
    if stands.is_away:
        yield f"disagree: {stands.why_away}"
    if it.is_other:
        yield f"disagree: this controller had store {it.kept}"
    if it.lacks:
        yield f"disagree: {it.lacks}"


def nothing_to_adopt(it: Known) -> str:
    """Say why there is nothing to adopt, and what else may be meant."""
    if it.lacks:
        return (
            "nothing to adopt: this is the store, but it went back in time. Start the controllers, check what is "
            "missing, then: fencectl release store --reason WHY"
        )
    return (
        "nothing to adopt: this is the store of this controller, where it belongs. If it is a copy of a server that "
        "goes on elsewhere (pg_basebackup), give it an id of its own with --clone"
    )


def meaning(it: Known, step: Step, *, is_clone: bool) -> str:
    """Say what is going to be done, and when that is wrong."""
    if is_clone:
        return (
            "This copy gets an id of its own. Proxies refuse it until `fenced proxy --adopt-store`; a device without a "
            "proxy would obey it and the original, so its inventory must name no host of the original."
        )
    if step is Step.HERE:
        return f"This controller accepts store {it.stands.id}. Store {it.kept} must be gone for good."
    return (
        "This database is the store from now on. Only if the original is gone for good: two databases with one id "
        "switch the same hosts."
    )


def adopted(it: Known, step: Step, *, is_clone: bool) -> Iterator[str]:
    """Yield what was done, and what comes next."""
    yield f"adopted: store {it.stands.id}, epoch {it.epoch}"
    if step is Step.HERE:
        return
    if is_clone:
        yield f"its proxies need once: fenced proxy -c FILE --adopt-store {it.stands.id}"
    yield "other controllers whose state_dir belongs to another store need this command once, too"
    yield "start the controllers, check what is missing, then: fencectl release store --reason WHY"


def upgraded(it: Upgraded) -> Iterator[str]:
    """Yield who reads what, what was done, and who hinders the rest."""
    for reader in it.readers:
        state = "running" if reader.is_alive else "offline"
        yield f"{_named(reader)}: {state}, reads format {reader.format}"
    if it.now > it.before:
        yield f"format {it.before} became {it.now}; programs that read less are refused from now on"
    for reader in it.hindering:
        yield (
            f"hinders format {it.newest}: {_named(reader)} reads only {reader.format}; upgrade it, or stop it and wait "
            "for a lease"
        )
    for reader in it.left_behind:
        yield f"upgrade {_named(reader)} before it starts again: it reads only {reader.format}"
    if it.now == it.before and not it.hindering:
        yield f"nothing to do: the store has format {it.now}, the newest that this program knows"


def _named(reader: FormatReader) -> str:
    return f"{reader.name} (fenced {reader.version or 'unknown'})"
