"""A small formal model of what makes an announcement safe, explored whole, and the simulation's traces held against it."""
