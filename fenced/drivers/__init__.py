"""Drivers: how power devices are read and switched. They know no proxies, hosts or decisions.

    registry      finds the driver that serves a device     agents/   every fence_* program
    catalogue     describes all drivers to the config       ipmi/     BMCs by IPMI 2.0
    local         calls the drivers of this machine         redfish/  BMCs by Redfish
    reference     writes docs/drivers.md                    snmp/     outlets by SNMP
    keeper/       runs programs for agents/                 programs/ the keeper itself: processes of their own

Each of the four families has its `driver.py`; open that first. Families do not import each other. Nothing above
`registry` and `catalogue` knows which drivers there are.
"""
