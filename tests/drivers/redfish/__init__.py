"""The Redfish driver."""
