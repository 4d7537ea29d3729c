"""MQTT through aiomqtt, and the embedded broker. This package knows topics and payloads, not what they lead to."""
