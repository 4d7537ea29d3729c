"""A formal model of what makes an announcement safe, and a comparison of the simulation
with it (docs/formal-model.md).
"""
