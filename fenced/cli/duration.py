"""Durations as options of a command: `30s`, `5m`, `1h30m`."""

from typing import Any, Final

import click

from fenced.config.durations import parse_duration


class Duration(click.ParamType[float]):
    """`30s`, `5m`, `1h30m`, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


DURATION: Final = Duration()
