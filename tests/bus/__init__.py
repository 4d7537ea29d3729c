"""The bus adapter against real brokers: Mosquitto and amqtt."""
