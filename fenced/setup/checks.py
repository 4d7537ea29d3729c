"""Refuse what an operator requests before anything is written, and explain what a person's fenced.toml lacks."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Final

from fenced.setup import broker, daemon
from fenced.setup.accounts import Accounts
from fenced.setup.files import Manifest
from fenced.setup.fleet import Fleet, NotSetUp, Written

SIGNED: Final = (
    *(daemon.TLS / name for name in ("ca.crt", "controller.crt", "controller.key")),
    broker.AUTHORITY,
    broker.CERTIFICATE,
    broker.KEY,
)
"""Files of this machine that belong to one authority."""


def check_stated(written: Written, *, site: str | None, controller: str | None) -> None:
    """Raise NotSetUp for an option that the configuration contradicts: the file decides."""
    for option, said, key, present in (
        ("--site", site, "site", written.site),
        ("--name", controller, "name", written.controller),
    ):
        if said and present and said != present:
            raise NotSetUp(
                f"{option} {said}: {daemon.CONFIGURATION} says {key} = {present!r}, and setup does not edit it; "
                f"leave out {option}, or edit the file first (every bundle is then made anew with --reissue)"
            )


def check_named(fleet: Fleet, accounts: Accounts, *, reissue: frozenset[str], revoke: frozenset[str]) -> None:
    """Raise NotSetUp for a name in --reissue or --revoke that means nothing, or an account that is in use."""
    known = {*fleet.accounts, *fleet.proxies}
    for name in sorted(reissue - known):
        raise NotSetUp(f"--reissue {name}: there is no such host, proxy, source or reader, and no daemon of this name")
    for name in sorted(revoke):
        if name in fleet.accounts:
            raise NotSetUp(f"{name} is still in the inventory or requested: remove it there first, then revoke it")
        if name not in accounts.lines:
            raise NotSetUp(f"the broker has no account {name}; it has {', '.join(accounts.lines) or 'none'}")


def check_authority(manifest: Manifest, *, is_present: bool, signed: Sequence[PurePath]) -> None:
    """Raise NotSetUp if the authority is lost whose certificates are in use. `signed`: files of this machine that come
    from it; beside those of a new authority they would cut off hosts, broker and daemon from each other."""
    if is_present or not (manifest.given or signed):
        return
    aside = " ".join(str(path) for path in (*((daemon.MANIFEST,) if manifest.given else ()), *signed))
    raise NotSetUp(
        f"{daemon.AUTHORITY}/ca.crt is missing, and this machine and {len(manifest.given)} others may have "
        "certificates of it: restore the folder from its backup. Without one, disarm the daemon, move everything "
        f"aside that belongs to the old authority, run setup again, and install every new archive: mv {aside} FOLDER"
    )


def check_archives(fleet: Fleet, *, others: tuple[str, ...]) -> None:
    """Raise NotSetUp if two machines would get one archive. `others`: archives beside those of accounts and proxies."""
    for name in sorted({*(f"proxy-{name}" for name in fleet.proxies), *others} & {*fleet.accounts}):
        raise NotSetUp(f"two machines would share the archive {name}.tar.gz; rename the host, source or reader {name}")


def check_place(name: str, written: Written, *, is_present: bool) -> None:
    """Raise NotSetUp if the daemon would not read a new file of the inventory, or if another one has its name."""
    path = daemon.INVENTORY.with_name(f"{name}.toml")
    if is_present:
        raise NotSetUp(
            f"{path} exists and does not name {name}: add {name} to a file of the inventory, then run fenced setup"
        )
    inside = path.relative_to(daemon.FOLDER)
    if not any(_matches(path if pattern.startswith("/") else inside, pattern) for pattern in written.patterns):
        raise NotSetUp(
            f"the daemon would not read {path}, because inventory.files of {daemon.CONFIGURATION} does not match it: "
            f"add {name} to a file of the inventory, then run fenced setup"
        )


def unused(written: Written, fleet: Fleet) -> list[str]:
    """Return what of the daemon's file does not use the account and certificate that setup made for it."""
    wanted: Mapping[str, str] = {
        "username": fleet.controller_account,
        "password_file": str(daemon.PASSWORD),
        "ca_file": str(daemon.TLS / "ca.crt"),
        "cert_file": str(daemon.TLS / "controller.crt"),
        "key_file": str(daemon.TLS / "controller.key"),
    }
    if not written.is_present:
        return []
    found = {key: str(written.bus.get(key, "")) for key in wanted}
    paths = {key: str(daemon.FOLDER / text) if key.endswith("_file") and text else text for key, text in found.items()}
    lines = [f'{key} = "{text}"' for key, text in wanted.items() if paths[key] != text]
    if not str(written.bus.get("url", "")).startswith("mqtts://"):
        lines.insert(0, 'url = "mqtts://..."')
    return lines


def _matches(path: PurePath, pattern: str) -> bool:
    return "**" in pattern or path.match(pattern)
