"""Errors of the lab itself. Faults that its emulated parts show on purpose are not errors."""


class LabError(Exception):
    """The lab can't do what was requested; says what, why, and what to do now."""
