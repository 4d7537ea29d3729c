"""The private authority, and certificates that are missing, end soon, or lack a name.

Certificates of this machine are files here. Those of hosts and proxies leave in bundles: of them only the last day of
validity is remembered. Hosts' certificates last long, because an account is revoked at the broker, and because hosts
whose certificates end on one day fall silent on one day.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.x509.oid import ExtendedKeyUsageOID

from fenced.proxy.certificates import LEAF_DAYS, Signed, make_authority, show, sign
from fenced.proxy.tls import CertificateError
from fenced.setup.files import Manifest
from fenced.setup.fleet import NotSetUp

HOST_DAYS: Final = 3650
RENEW_DAYS: Final = 60
SERVER: Final = (ExtendedKeyUsageOID.SERVER_AUTH,)
CLIENT: Final = (ExtendedKeyUsageOID.CLIENT_AUTH,)

Now = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Signs with the authority in `folder`. `within`: how long before its end a certificate is renewed."""

    folder: Path
    manifest: Manifest
    within: timedelta = timedelta(days=RENEW_DAYS)
    now: Now = utc_now

    def authority(self) -> bytes:
        """Return the authority's certificate; make the authority if there is none. Raises NotSetUp."""
        try:
            if not (self.folder / "ca.crt").exists():
                make_authority(self.folder)
            return (self.folder / "ca.crt").read_bytes()
        except (CertificateError, OSError) as exc:
            raise NotSetUp(str(exc)) from exc

    @property
    def has_key(self) -> bool:
        return (self.folder / "ca.key").exists()

    @property
    def key_away(self) -> str:
        return f"{self.folder}/ca.key is not here: put the authority's key back for this run"

    def server(self, name: str, addresses: tuple[str, ...]) -> Signed:
        """Raises NotSetUp."""
        return self._signed(lambda: sign(self.folder, name=name, uses=SERVER, addresses=addresses, days=LEAF_DAYS))

    def client(self, name: str, *, days: int = LEAF_DAYS) -> Signed:
        """Raises NotSetUp."""
        return self._signed(lambda: sign(self.folder, name=name, uses=CLIENT, days=days))

    def why_new(self, certificate: Path, addresses: tuple[str, ...] = ()) -> str:
        """Return why a certificate of this machine must be made anew, or "". Raises NotSetUp."""
        if not certificate.exists():
            return "missing"
        try:
            shown = show(certificate)[0]
        except CertificateError as exc:
            raise NotSetUp(f"{exc}; move the file away to have a new one made") from exc
        lacking = [address for address in addresses if address not in shown.addresses]
        if lacking:
            return f"not valid for {', '.join(lacking)}"
        if shown.has_key is not True:
            return "its key is missing or belongs to another certificate"
        return self._why_soon(shown.valid_until)

    def why_given_anew(self, whose: str, addresses: tuple[str, ...] = ()) -> str:
        """Return why the certificate in a bundle must be made anew ("missing" for the first one), or ""."""
        until = self.manifest.given.get(whose)
        if until is None:
            return "missing"
        lacking = [each for each in addresses if each not in self.manifest.addresses.get(whose, addresses)]
        return f"not valid for {', '.join(lacking)}" if lacking else self._why_soon(datetime.fromisoformat(until))

    def give(self, whose: str, signed: Signed, addresses: tuple[str, ...] = ()) -> None:
        """Remember a certificate that leaves in a bundle, and the addresses for which it is valid.

        Until the bundle is copied, its machine has the old certificate: remember the end of that one, too.
        """
        if whose in self.manifest.given:
            self.manifest.waiting.setdefault(whose, self.manifest.given[whose])
        self.manifest.given[whose] = signed.valid_until.isoformat()
        if addresses:
            self.manifest.addresses[whose] = [*addresses]

    def _why_soon(self, until: datetime) -> str:
        return f"ends on {until:%Y-%m-%d}" if until - self.now() < self.within else ""

    def _signed(self, act: Callable[[], Signed]) -> Signed:
        if not self.has_key:
            raise NotSetUp(f"{self.key_away}, then run fenced setup again")
        try:
            return act()
        except CertificateError as exc:
            raise NotSetUp(str(exc)) from exc
