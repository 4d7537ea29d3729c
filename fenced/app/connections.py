"""What the daemon connects to, from its configuration: the proxies and the bus."""

from fenced.bus.settings import BusSettings
from fenced.config.configuration import Configuration, TlsClient
from fenced.model.inventory import Inventory, Via
from fenced.model.names import ProxyName
from fenced.proxy.tls import TlsFiles


def urls(inventory: Inventory) -> dict[ProxyName, str]:
    """Return where each proxy is called."""
    return {proxy.name: proxy.url for proxy in inventory.proxies.values()}


def vias(inventory: Inventory) -> dict[ProxyName, Via]:
    """Return the tunnels of proxies that have one."""
    return {proxy.name: proxy.via for proxy in inventory.proxies.values() if proxy.via is not None}


def tls_files(client: TlsClient) -> TlsFiles | None:
    """Return what the daemon shows the proxies; None without a certificate of its own."""
    if client.ca_file is None or client.cert_file is None or client.key_file is None:
        return None
    return TlsFiles(ca_file=client.ca_file, cert_file=client.cert_file, key_file=client.key_file)


def bus_settings(configuration: Configuration) -> BusSettings:
    """Return how the daemon connects to the bus."""
    bus, daemon = configuration.bus, configuration.inventory.daemon
    return BusSettings(
        host=bus.host,
        port=bus.port,
        site=daemon.site,
        client_id=f"fenced-{daemon.site}-{daemon.name}",
        is_tls=bus.scheme == "mqtts",
        is_version_5_tried=bus.scheme != "embedded",
        ca_file=str(bus.tls.ca_file or ""),
        cert_file=str(bus.tls.cert_file or ""),
        key_file=str(bus.tls.key_file or ""),
        username=bus.username,
        password=bus.password,
    )
