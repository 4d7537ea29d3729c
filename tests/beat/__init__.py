"""The heartbeat as one file: its configuration, MQTT, HTTP, every interpreter, and the variant for appliances."""
