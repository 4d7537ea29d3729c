"""The whole of `fenced setup`: read what there is, make what is missing, say what to do next.

Nothing is written before everything has been read: a mistake in an inventory stops the run with the disk as it was.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from fenced.setup import advice, broker, bundles, checks, daemon, rights
from fenced.setup.accounts import Accounts, new_password
from fenced.setup.asked import Asked, Report, completed
from fenced.setup.files import Disk, Manifest, Rule, Wanted, alone
from fenced.setup.fleet import NotSetUp, joined, read_written
from fenced.setup.issued import HOST_DAYS, Issuer
from fenced.setup.rights import PUBLIC, Rights

LOCAL_NAMES: Final = ("localhost", "127.0.0.1")
ELSEWHERE: Final = daemon.AUTHORITY / "broker.passwd"
"""The accounts of a broker on another machine."""
BROKER_BUNDLE: Final = "broker"


def run(asked: Asked, *, progress: Callable[[int, int], None] = lambda done, of: None) -> Report:
    """Do everything. `progress` gets how many bundles are made, of how many. Raises NotSetUp."""
    first = _Run(asked, progress)
    if asked.is_dry:
        return first.run()
    with alone(first.made_folder()):
        return _Run(asked, progress).run()  # read again: another run may have ended just before


class _Run:
    def __init__(self, asked: Asked, progress: Callable[[int, int], None]) -> None:
        self._asked, self._progress = asked, progress
        self._report = Report()
        self._cut_off: list[str] = []
        """Hosts that the broker refuses from its reload until their archive is installed."""
        self._manifest = Manifest.read(self._real(daemon.MANIFEST))
        self._disk = Disk(asked.root, self._manifest, is_dry=asked.is_dry)
        self._written = read_written(self._real(daemon.CONFIGURATION))
        checks.check_stated(self._written, site=asked.site, controller=asked.controller)
        self._fleet = joined(self._written, completed(asked, self._written, self._manifest))
        self._manifest.named = {
            "broker": [*self._fleet.broker], "sources": [*self._fleet.sources], "readers": [*self._fleet.readers]
        }  # fmt: skip
        mosquitto = self._real(broker.FOLDER)
        is_elsewhere = self._disk.read(ELSEWHERE) is not None
        self._has_broker = mosquitto.is_dir() and not is_elsewhere if asked.has_broker is None else asked.has_broker
        if self._has_broker and not mosquitto.is_dir():
            raise NotSetUp(f"{broker.FOLDER} does not exist: install mosquitto first, or use --broker-elsewhere")
        self._passwords = broker.PASSWORDS if self._has_broker else ELSEWHERE
        present = self._disk.read(ELSEWHERE if is_elsewhere else broker.PASSWORDS)  # they stay when the broker moves
        self._accounts = Accounts.parse("" if present is None else present.decode())
        self._refuse()

    def made_folder(self) -> Path:
        """Make the authority's folder, which only root can open."""
        return self._disk.folder(daemon.AUTHORITY, rights.FOLDERS[daemon.AUTHORITY])

    def run(self) -> Report:
        with ExitStack() as stack:
            folder = self._real(daemon.AUTHORITY)
            if self._asked.is_dry and not (folder / "ca.crt").exists():
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "authority"
            if not self._asked.is_renewal:
                self._make_users()
                self._make_folders()
            self._issuer = Issuer(
                folder=folder, manifest=self._manifest, within=self._asked.within, now=self._asked.now
            )
            self._authority = self._issuer.authority()
            self._forget_copied()
            try:
                if self._asked.is_renewal:
                    self._renew()
                else:
                    self._make_daemon()
                    self._make_clients(self._fleet.accounts[1:])
                    self._make_proxies(self._fleet.proxies)
                    self._revoke()
                    self._make_broker()
            finally:  # a run that failed or was interrupted records what it has written
                if not self._asked.is_dry:
                    self._write_manifest()
        self._report.next += advice.next_steps(
            advice.Situation(
                asked=self._asked,
                fleet=self._fleet,
                written=self._written,
                has_broker=self._has_broker,
                has_problems=bool(self._report.problems),
                has_bundles=bool(self._report.bundles),
                cut_off=self._cut_off,
            )
        )
        return self._report

    def _renew(self) -> None:
        """Renew what ends soon, of clients and proxies that have their accounts and certificates already."""
        if not self._issuer.has_key:
            self._report.problems += self._due()
            return
        if self._disk.read(daemon.TLS / "controller.crt") is not None:
            self._make_controller_certificate()
        self._make_clients(self._known_clients())
        self._make_proxies(self._known_proxies())
        names = self._broker_names()
        if self._has_broker and self._disk.read(broker.CERTIFICATE) is not None:
            self._make_broker_certificate(names)
        elif not self._has_broker and "broker" in self._manifest.given:
            self._bundle_broker(names)

    def _due(self) -> list[str]:
        """Return what the authority's key, which is away, would have to sign now."""
        issuer, names = self._issuer, self._broker_names()
        found = {str(daemon.TLS / "controller.crt"): issuer.why_new(self._real(daemon.TLS / "controller.crt"))}
        found |= {name: issuer.why_given_anew(name) for name in self._known_clients()}
        for name, addresses in self._known_proxies().items():
            found[f"proxy {name}"] = issuer.why_given_anew(f"proxy {name}", addresses)
        if self._has_broker:
            found[str(broker.CERTIFICATE)] = issuer.why_new(self._real(broker.CERTIFICATE), names)
        elif "broker" in self._manifest.given:
            found["broker"] = issuer.why_given_anew("broker", names)
        due = [f"{whose}: its certificate {why}" for whose, why in found.items() if why and why != "missing"]
        return [*due, f"{issuer.key_away}, then run fenced setup --renew"] if due else []

    def _known_clients(self) -> list[str]:
        known = self._accounts.lines.keys() & self._manifest.given.keys()
        return [name for name in self._fleet.accounts[1:] if name in known]

    def _known_proxies(self) -> dict[str, tuple[str, ...]]:
        given = self._manifest.given
        return {name: addresses for name, addresses in self._fleet.proxies.items() if f"proxy {name}" in given}

    def _forget_copied(self) -> None:
        """Forget the ends of old certificates whose new archive is gone: it was copied to its machine."""
        for whose in [*self._manifest.waiting]:
            if self._disk.read(_bundle_path(whose.replace("proxy ", "proxy-"))) is None:
                del self._manifest.waiting[whose]

    def _write_manifest(self) -> None:
        """The daemon reads in it when certificates of others end."""
        text = self._manifest.text
        self._write(daemon.MANIFEST, text, rights.DAEMONS, rule=Rule.REPLACE, is_listed=False)

    def _refuse(self) -> None:
        """Find every reason against this run before anything is written. Raises NotSetUp."""
        fleet, asked = self._fleet, self._asked
        has_authority = self._real(daemon.AUTHORITY / "ca.crt").exists()
        signed = () if has_authority else tuple(path for path in checks.SIGNED if self._disk.read(path) is not None)
        checks.check_authority(self._manifest, is_present=has_authority, signed=signed)
        if asked.is_renewal and not has_authority:
            raise NotSetUp("there is nothing to renew: fenced setup has made no certificates on this machine")
        checks.check_named(fleet, self._accounts, reissue=asked.reissue, revoke=asked.revoke)
        checks.check_archives(fleet, others=() if self._has_broker else (BROKER_BUNDLE,))
        for name in self._new():
            path = daemon.INVENTORY.with_name(f"{name}.toml")
            checks.check_place(name, self._written, is_present=self._disk.read(path) is not None)
        if self._has_broker and not asked.is_renewal:
            self._find_conflicts()
        if self._report.problems and asked.reissue:
            problems = "\n".join(self._report.problems)
            raise NotSetUp(f"nothing is reissued, because the broker's files can't be written:\n{problems}")

    # -- this machine -------------------------------------------------------------------------------------------------

    def _make_users(self) -> None:
        """Make the users of the services, as a package would."""
        packaged = self._real(daemon.SYSUSERS)
        if not packaged.exists():
            self._write(daemon.SYSUSERS, daemon.shipped("systemd/fenced.sysusers.conf"))
        if not self._asked.is_dry and self._asked.root == Path("/") and rights.make_users(packaged):
            self._report.notes.append("made the users of the services: fenced, fenced-proxy, fenced-beat")

    def _make_folders(self) -> None:
        for folder, wanted in rights.FOLDERS.items():
            self._disk.folder(folder, wanted)
            self._check(folder, wanted, is_ours=True)
        self._check(daemon.AUTHORITY / "ca.key", rights.ROOTS_SECRET, is_ours=True)

    def _make_daemon(self) -> None:
        fleet = self._fleet
        text = daemon.configuration(fleet, is_broker_here=self._has_broker)
        is_first = self._disk.read(daemon.CONFIGURATION) is None
        self._write(daemon.CONFIGURATION, text.encode(), rule=Rule.KEEP)
        if is_first and self._disk.read(daemon.INVENTORY) is None:
            listed = daemon.inventory(fleet, self._asked.addresses)
            self._write(daemon.INVENTORY, listed.encode(), rights.DAEMONS, rule=Rule.KEEP)
        else:
            for file in sorted(self._real(daemon.INVENTORY.parent).glob("*.toml")):
                self._check(daemon.INVENTORY.with_name(file.name), rights.DAEMONS)
            self._add_to_inventory()
        self._write(daemon.TLS / "ca.crt", self._authority)
        self._make_controller_certificate()
        self._make_password()
        self._check_secrets()
        if not any(self._real(folder / "fenced.service").exists() for folder in daemon.PACKAGED_UNITS):
            for unit in daemon.UNIT_FILES:
                self._write(daemon.UNITS / unit, daemon.shipped(f"systemd/{unit}"))
        if self._asked.program != daemon.PROGRAM and not self._real(Path(daemon.PROGRAM)).exists():
            for unit, words in daemon.COMMANDS.items():
                drop_in = daemon.program_drop_in(self._asked.program, words)
                self._write(daemon.UNITS / f"{unit}.service.d/program.conf", drop_in.encode())

    def _make_controller_certificate(self) -> None:
        path, name = daemon.TLS / "controller.crt", self._fleet.controller_account
        why = "requested" if name in self._asked.reissue else self._issuer.why_new(self._real(path))
        if why:
            signed = self._issuer.client(name)
            self._write_pair(path, signed.certificate, signed.key, rights.DAEMONS_SECRET, why=why)
        else:
            self._check(path.with_suffix(".key"), rights.DAEMONS_SECRET)

    def _add_to_inventory(self) -> None:
        """Give each new host and proxy a file of its own: the present files are a person's."""
        for name in self._new():
            text = daemon.inventory(self._asked.fleet.only(name), self._asked.addresses)
            path = daemon.INVENTORY.with_name(f"{name}.toml")
            self._write(path, text.encode(), rights.DAEMONS, rule=Rule.KEEP)

    def _new(self) -> tuple[str, ...]:
        """Return the hosts and proxies that an existing inventory lacks."""
        if not self._written.is_present:
            return ()
        asked, known = self._asked.fleet, {*self._written.hosts, *self._written.proxies}
        return tuple(dict.fromkeys(name for name in (*asked.hosts, *asked.proxies) if name not in known))

    def _make_password(self) -> None:
        """Give the daemon its account: a new password, or its present one where the broker has another or none."""
        name = self._fleet.controller_account
        present = self._disk.read(daemon.PASSWORD)
        is_new = present is None or name in self._asked.reissue
        password = new_password() if is_new or present is None else present.decode().strip()
        if not self._accounts.accepts(name, password):
            self._accounts = self._accounts.with_account(name, password)
        self._write(
            daemon.PASSWORD,
            f"{password}\n".encode(),
            rights.DAEMONS_SECRET,
            rule=Rule.REPLACE if is_new else Rule.KEEP,
            is_hidden=True,
        )

    def _check_secrets(self) -> None:
        """Say which secrets of persons others can read; setup repairs only those that it made."""
        own = {self._real(path) for path in (daemon.PASSWORD, daemon.TLS / "controller.key")}
        named = {*self._written.secrets, *self._real(daemon.SECRETS).glob("*")} - own
        self._note(rights.advice(rights.exposed(named, has_owners=self._disk.has_owners)))

    # -- other machines -----------------------------------------------------------------------------------------------

    def _make_clients(self, names: Sequence[str]) -> None:
        """Make accounts, and a bundle for each client whose account or certificate is new."""
        for number, name in enumerate(names, start=1):
            is_host = name in self._fleet.hosts
            is_new = name not in self._accounts.lines or name in self._asked.reissue
            why = "new" if is_new else self._issuer.why_given_anew(name)
            if why:
                password = new_password() if is_new else None
                if is_new and is_host and name in self._manifest.given:
                    self._cut_off.append(name)
                if password is not None:
                    self._accounts = self._accounts.with_account(name, password)
                signed = self._issuer.client(name, days=HOST_DAYS)
                made = bundles.host if is_host else bundles.client
                parts = made(self._fleet, name, password=password, signed=signed, authority=self._authority)
                self._bundle(name, parts, "its account" if is_new else f"a new certificate ({why})")
                self._issuer.give(name, signed)
            self._progress(number, len(names))

    def _make_proxies(self, proxies: Mapping[str, tuple[str, ...]]) -> None:
        for name, addresses in proxies.items():
            whose = f"proxy {name}"
            why = "new" if name in self._asked.reissue else self._issuer.why_given_anew(whose, addresses)
            if not why:
                continue
            signed = self._issuer.server(name, addresses)
            is_renewal = whose in self._manifest.given
            parts = bundles.proxy(self._fleet, name, is_renewal=is_renewal, signed=signed, authority=self._authority)
            self._bundle(f"proxy-{name}", parts, f"a new certificate ({why})" if is_renewal else "its certificate")
            self._issuer.give(whose, signed, addresses)

    def _bundle(self, name: str, parts: dict[str, bundles.Part], what: str) -> None:
        path = _bundle_path(name)
        content = bundles.packed(name, parts)
        wanted = Wanted(path=path, content=content, rights=rights.ROOTS_SECRET, rule=Rule.REPLACE, is_synced=False)
        self._disk.write(replace(wanted, is_hidden=True))
        self._report.bundles.append(f"{path}: {what}")

    def _revoke(self) -> None:
        for name in sorted(self._asked.revoke):
            self._accounts = self._accounts.without(name)
            for ends in (self._manifest.given, self._manifest.waiting):
                ends.pop(name, None)
            self._report.notes.append(f"removed the account {name}")
        unknown = [name for name in self._accounts.lines if name not in self._fleet.accounts]
        if unknown:
            self._report.notes.append(
                f"accounts without a host, source or reader: {', '.join(sorted(unknown))}; they can still log in. "
                "Remove one with --revoke NAME"
            )

    # -- the broker ---------------------------------------------------------------------------------------------------

    def _make_broker(self) -> None:
        names = self._broker_names()
        if not self._has_broker:
            self._bundle_broker(names)
            return
        if self._report.problems:
            return
        self._write(broker.AUTHORITY, self._authority)
        self._make_broker_certificate(names)
        self._write_accounts(rights.BROKERS_SECRET)
        access = broker.access(self._fleet).encode()
        self._write(broker.ACCESS, access, rights.BROKERS_SECRET)
        self._write(broker.CONFIGURATION, broker.configuration().encode())
        self._write(broker.DROP_IN, broker.drop_in().encode())
        if not self._asked.is_dry:  # later runs know by it that the broker is elsewhere
            self._real(ELSEWHERE).unlink(missing_ok=True)

    def _broker_names(self) -> tuple[str, ...]:
        return (*self._fleet.broker, *(LOCAL_NAMES if self._has_broker else ()))

    def _make_broker_certificate(self, names: tuple[str, ...]) -> None:
        why = self._issuer.why_new(self._real(broker.CERTIFICATE), names)
        if why:
            signed = self._issuer.server(broker.NAME, names)
            self._write_pair(broker.CERTIFICATE, signed.certificate, signed.key, rights.BROKERS_SECRET, why=why)
            self._report.is_broker_renewed = True
        else:
            self._check(broker.KEY, rights.BROKERS_SECRET)

    def _bundle_broker(self, names: tuple[str, ...]) -> None:
        """Make a bundle whenever something in it changed."""
        before = self._disk.read(self._passwords)
        why = self._issuer.why_given_anew("broker", names)
        if why or before != self._accounts.text.encode():
            signed = self._issuer.server(broker.NAME, names)
            passwords = self._accounts.text.encode()
            parts = bundles.broker_machine(self._fleet, passwords=passwords, signed=signed, authority=self._authority)
            self._bundle(BROKER_BUNDLE, parts, "everything that the broker's machine needs")
            self._issuer.give("broker", signed, names)
        self._write_accounts(rights.ROOTS_SECRET)  # last: an interrupted run makes the bundle again

    def _write_accounts(self, wanted: Rights) -> None:
        self._write(self._passwords, self._accounts.text.encode(), wanted, rule=Rule.REPLACE, is_hidden=True)

    def _find_conflicts(self) -> None:
        ours = self._real(broker.CONFIGURATION)
        files = [self._real(broker.FOLDER / "mosquitto.conf"), *sorted(ours.parent.glob("*.conf"))]
        texts = {
            Path("/") / file.relative_to(self._asked.root): file.read_text(errors="replace")
            for file in files
            if file.is_file() and file != ours
        }
        for conflict in broker.conflicts(texts):
            line = f"{conflict.place}: `{conflict.text}`: {conflict.why}"
            (self._report.problems if conflict.is_fatal else self._report.notes).append(line)

    # -- writing and saying -------------------------------------------------------------------------------------------

    def _real(self, path: Path) -> Path:
        return self._asked.root / path.relative_to("/")

    def _write_pair(self, certificate: Path, content: bytes, key: bytes, wanted: Rights, *, why: str) -> None:
        """Write a key first: a certificate without its key is useless."""
        self._write(certificate.with_suffix(".key"), key, wanted, rule=Rule.REPLACE, is_hidden=True)
        self._write(certificate, content, rule=Rule.REPLACE, is_hidden=True)
        if why != "missing":
            self._report.notes.append(f"{certificate}: made anew: {why}")

    def _write(
        self,
        path: Path,
        content: bytes,
        wanted: Rights = PUBLIC,
        *,
        rule: Rule = Rule.FOLLOW,
        is_hidden: bool = False,
        is_listed: bool = True,
    ) -> None:
        outcome = self._disk.write(Wanted(path=path, content=content, rights=wanted, rule=rule, is_hidden=is_hidden))
        self._note(outcome.note)
        if is_listed:
            self._report.outcomes.append(outcome)

    def _check(self, path: Path, wanted: Rights, *, is_ours: bool | None = None) -> None:
        self._note(self._disk.check(path, wanted, is_ours=is_ours))

    def _note(self, text: str) -> None:
        self._report.notes += [text] if text else []


def _bundle_path(name: str) -> Path:
    return daemon.BUNDLES / f"{name}.tar.gz"
