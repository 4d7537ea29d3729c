"""The SNMP driver."""
