"""What can go wrong with the lab itself; never what its emulated parts do on purpose."""


class LabError(Exception):
    """The lab can't do what was asked; says what, why, and what to do now."""
