"""Power devices: fence agents and Redfish. Strangers to proxies, hosts and decisions."""
