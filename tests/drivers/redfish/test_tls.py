"""TLS of the Redfish driver: too old offers and untrusted certificates, each with its own error."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fenced.drivers.redfish.driver import Redfish
from fenced.model.inventory import DeviceSpec, Secret, Tls
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, DeviceUnreachable, LoginRefused
from tests.drivers.certificate import make_certificate
from tests.drivers.old_tls import RSA_ONLY, old_context, s_server
from tests.drivers.programs import spec_of, starts_into
from tests.drivers.redfish.bmc import Bmc, spec
from tests.needs import needs
from tests.net import free_port

OLD: Mapping[str, tuple[ssl.TLSVersion, str, str]] = {
    "TLS 1.0": (ssl.TLSVersion.TLSv1, "", r"no common version \(it offers TLSv1 with"),
    "TLS 1.1": (ssl.TLSVersion.TLSv1_1, "", r"no common version \(it offers TLSv1\.1 with"),
    "RSA": (ssl.TLSVersion.TLSv1_2, RSA_ONLY, r"no common cipher \(it offers TLSv1\.2 with .*RSA key exchange"),
    "TLS 1.0 and RSA": (ssl.TLSVersion.TLSv1, RSA_ONLY, r"no common version .*TLSv1 with .*RSA key exchange"),
}


async def refused(driver: Redfish, device: DeviceSpec) -> DeviceError:
    """Return the error of a read and a command: the same text, and not done."""
    with pytest.raises(DeviceError) as failed:
        await driver.read(device, timeout_seconds=5)
    with pytest.raises(DeviceError) as not_switched:
        await driver.set(device, Power.OFF, timeout_seconds=5, on_started=starts_into([]))
    assert str(not_switched.value) == str(failed.value)
    assert type(not_switched.value) is type(failed.value)
    assert not not_switched.value.may_be_done
    assert not_switched.value.is_end_known
    return failed.value


@pytest.mark.parametrize("name", OLD)
async def test_an_old_bmc_is_reported_with_its_offer_and_works_with_tls_legacy(
    redfish: Redfish, tmp_path: Path, name: str
) -> None:
    newest, ciphers, said = OLD[name]
    certificate, key, fingerprint = make_certificate(tmp_path, is_rsa=True)
    async with Bmc().running(old_context(certificate, key, newest, ciphers=ciphers)) as bmc:
        error = await refused(redfish, spec(bmc, ca_file=str(certificate)))
        assert isinstance(error, DeviceUnreachable)
        assert pytest.RaisesExc(DeviceError, match=f"TLS handshake: {said}").matches(error), str(error)
        assert 'tls = "legacy"' in str(error)
        assert bmc.requests == []
        trusts: list[dict[str, Any]] = [{"ca_file": str(certificate)}, {"fingerprint": fingerprint}, {"insecure": True}]
        for trust in trusts:
            old = replace(spec(bmc, **trust), tls=Tls.LEGACY)
            bmc.power = "On"
            assert await redfish.read(old, timeout_seconds=5) is Power.ON
            await redfish.set(old, Power.OFF, timeout_seconds=5, on_started=starts_into([]))
            assert await redfish.read(old, timeout_seconds=5) is Power.OFF


async def test_tls_legacy_trusts_no_other_certificate(redfish: Redfish, tmp_path: Path) -> None:
    """A wrong certificate is refused in the handshake, before anything is sent, such as a password."""
    certificate, key, fingerprint = make_certificate(tmp_path, is_rsa=True)
    async with Bmc().running(old_context(certificate, key, ssl.TLSVersion.TLSv1_1)) as bmc:
        for options, said in (
            ({}, "its certificate is"),
            ({"fingerprint": "00" * 32}, f"its fingerprint is {fingerprint}"),
        ):
            error = await refused(redfish, replace(spec(bmc, **options), tls=Tls.LEGACY))
            assert isinstance(error, LoginRefused)
            assert said in str(error)
        assert bmc.requests == []


async def test_a_good_bmc_is_spoken_to_as_well_as_it_can_where_an_old_tls_is_allowed(
    redfish: Redfish, tmp_path: Path
) -> None:
    certificate, key, _ = make_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.load_cert_chain(certificate, key)
    async with Bmc().running(tls) as bmc:
        assert await redfish.read(replace(spec(bmc, insecure=True), tls=Tls.LEGACY), timeout_seconds=5) is Power.ON


@needs("openssl")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
            r"no common version \(TLSV1_ALERT_PROTOCOL_VERSION; it offers TLSv1 ",
        ),
        (
            ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
            r"no common version \(TLSV1_ALERT_PROTOCOL_VERSION; it offers TLSv1\.1",
        ),
        (
            ("-tls1_2", "-cipher", RSA_ONLY),
            r"no common cipher \(SSLV3_ALERT_HANDSHAKE_FAILURE; it offers TLSv1\.2 .*RSA",
        ),
        (("-tls1_2", "-cipher", "PSK", "-psk", "00"), r"no common cipher \(SSLV3_ALERT_HANDSHAKE_FAILURE\)"),
    ],
)
async def test_alerts_of_another_implementation(
    redfish: Redfish, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    certificate, key, _ = make_certificate(tmp_path, is_rsa=True)
    async with s_server(certificate, key, *arguments) as port:
        device = spec_of(
            "redfish", address=f"https://127.0.0.1:{port}", password=Secret("x"), options={"insecure": True}
        )
        error = await refused(redfish, device)
        assert pytest.RaisesExc(DeviceUnreachable, match=f"TLS handshake: {said}").matches(error), str(error)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"days": (-9, -2)}, "has expired"),
        ({"days": (2, 9)}, "is not valid yet"),
        ({"address": "127.0.0.9"}, "is for another name"),
    ],
)
async def test_each_fault_of_a_certificate_has_its_own_error(
    redfish: Redfish, tmp_path: Path, made: dict[str, Any], said: str
) -> None:
    certificate, key, _ = make_certificate(tmp_path, **made)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with Bmc().running(tls) as bmc:
        error = await refused(redfish, spec(bmc, ca_file=str(certificate)))
        assert isinstance(error, LoginRefused)
        assert f"TLS handshake: its certificate {said}" in str(error)
        error = await refused(redfish, spec(bmc))
        assert "TLS handshake: its certificate is" in str(error)
        assert "authority" in str(error)


async def test_a_port_without_tls_is_reported(redfish: Redfish, bmc: Bmc) -> None:
    error = await refused(
        redfish, replace(spec(bmc, insecure=True), address=bmc.address.replace("http://", "https://"))
    )
    assert isinstance(error, DeviceUnreachable)
    assert "TLS handshake: it does not speak TLS at this port" in str(error)


async def test_a_closed_port_is_not_a_tls_error(redfish: Redfish) -> None:
    device = spec_of("redfish", address=f"https://127.0.0.1:{free_port()}", password=Secret("x"), options={})
    assert "TLS" not in str(await refused(redfish, device))


async def test_a_server_that_always_hangs_up_is_reported(redfish: Redfish) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        device = spec_of("redfish", address=f"https://127.0.0.1:{port}", password=Secret("x"), options={})
        error = await refused(redfish, device)
    assert "TLS handshake: it hung up" in str(error)
    assert "legacy" not in str(error)
