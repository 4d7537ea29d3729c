"""Fills a credential that this proxy stores into a call, just before its driver starts.

Stored credentials are never sent to a daemon.
"""

from collections.abc import Mapping
from dataclasses import replace

from fenced.model.credentials import StoredCredential
from fenced.model.inventory import DeviceSpec
from fenced.ports.devices import BadParameters, LoginRefused


class Credentials:
    """Credentials by name, replaced as a whole when the file is read again."""

    def __init__(self, proxy: str, stored: Mapping[str, StoredCredential]) -> None:
        self._proxy = proxy
        self._stored = dict(stored)

    def use(self, stored: Mapping[str, StoredCredential]) -> None:
        """Use these from the next call on."""
        self._stored = dict(stored)

    def filled(self, spec: DeviceSpec, client: str) -> DeviceSpec:
        """Return the spec for the driver. Raises BadParameters or LoginRefused: nothing was sent."""
        if not spec.credential:
            return spec
        name = f"proxy {self._proxy}: credential {spec.credential[:64]!r}"
        if spec.username or spec.all_secrets:
            raise BadParameters(
                f"{name} can't be combined with a user name or password; remove those from the device",
                may_be_done=False,
            )
        stored = self._stored.get(spec.credential)
        if stored is None:
            raise BadParameters(f"{name} is not in the proxy's file: add [credentials.NAME]", may_be_done=False)
        why = stored.why_not(spec, client)
        if why is not None:
            raise LoginRefused(f"{name} {why}; see [credentials.NAME] in the proxy's file", may_be_done=False)
        return replace(
            spec,
            username=stored.username,
            password=stored.password,
            secrets=stored.secrets,
            options={**spec.options, **stored.pinned_options},
            tls=stored.tls,
            credential="",
        )

    def options_of(self, name: str) -> frozenset[str]:
        """Return the options that the file lists for the credential of that name."""
        stored = self._stored.get(name)
        return frozenset() if stored is None else stored.options
