"""Exception groups, in which a task group ends."""


def leaf(exc: BaseException) -> BaseException:
    """Return the first exception of a group, however deep; an exception that is no group as it is."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc
