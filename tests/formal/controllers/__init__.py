"""The second formal model: several controllers, one lease, a store that may lose its tail (docs/formal-model.md)."""
