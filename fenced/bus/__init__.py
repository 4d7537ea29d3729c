"""MQTT through aiomqtt, and the embedded broker. Knows topics and payloads, nothing of what they lead to."""
