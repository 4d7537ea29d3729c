"""A formal model of what makes an announcement safe, and the simulation's runs held against it (docs/formal-model.md)."""
