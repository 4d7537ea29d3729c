"""Man pages and completions of the programs, generated from their commands, so that they can't differ from `--help`.

One page for each command, as git has them: `man fencectl`, `man fencectl-explain`. Why not by click-man:
docs/adr/0030-a-terminal.md.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from inspect import cleandoc
from typing import Final

import click
from source import VERSION, epoch

SEE_ALSO: Final = {"fenced": "fencectl(1), fenced-beat(1)", "fencectl": "fenced(1)"}
AS_IT_IS: Final = "\b\n"
"""What click has before a paragraph that is not wrapped."""


def pages(program: str, group: click.Command) -> Iterator[tuple[str, str]]:
    """Yield the name of the file and the page, of a program and each of its commands."""
    yield from _pages(click.Context(group, info_name=program), program)


def _pages(ctx: click.Context, program: str) -> Iterator[tuple[str, str]]:
    name = ctx.command_path.replace(" ", "-")
    yield f"{name}.1", "\n".join([*_page(ctx, name, program)]) + "\n"
    for given, command in _commands(ctx):
        yield from _pages(click.Context(command, info_name=given, parent=ctx), program)


def _commands(ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands of a group that are shown, by name."""
    if isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            command = ctx.command.get_command(ctx, name)
            if command is not None and not command.hidden:
                yield name, command


def _page(ctx: click.Context, name: str, program: str) -> Iterator[str]:
    command = ctx.command
    at = datetime.fromtimestamp(epoch(), UTC).strftime("%Y-%m-%d")
    paragraphs = cleandoc(command.help or "").split("\n\n")
    first = paragraphs[0].replace("\n", " ")
    yield f'.TH "{_escaped(name.upper())}" "1" "{at}" "fenced {VERSION}" "User Commands"'
    yield ".SH NAME"
    yield f"{_escaped(name)} \\- {_escaped(first.partition('. ')[0].removesuffix('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {_escaped(ctx.command_path)}"
    yield _escaped(" ".join(command.collect_usage_pieces(ctx)))
    yield ".SH DESCRIPTION"
    examples = []
    for paragraph in paragraphs:
        lines = paragraph.removeprefix(AS_IT_IS).splitlines()
        if lines and (found := re.match(r"Examples?: *", lines[0])):
            examples += [line for line in (lines[0][found.end() :], *lines[1:]) if line.strip()]
        elif paragraph.startswith(AS_IT_IS):
            yield from (".PP", ".nf", *map(_line, lines), ".fi")
        else:
            yield from (".PP", *map(_line, lines))
    yield from _options(ctx)
    yield from _listed(ctx, name)
    if examples:
        yield from (".SH EXAMPLES", ".nf", *(_line(line.strip()) for line in examples), ".fi")
    yield ".SH SEE ALSO"
    yield _escaped(SEE_ALSO[program] if ctx.parent is None else f"{program}(1)")


def _options(ctx: click.Context) -> Iterator[str]:
    records = [record for each in ctx.command.get_params(ctx) if (record := each.get_help_record(ctx)) is not None]
    if records:
        yield ".SH OPTIONS"
    for option, about in records:
        yield from (".TP", rf"\fB{_escaped(option)}\fR", _line(about))


def _listed(ctx: click.Context, name: str) -> Iterator[str]:
    commands = [*_commands(ctx)]
    if commands:
        yield ".SH COMMANDS"
    for command, found in commands:
        yield from (".TP", rf"\fB{_escaped(f'{name}-{command}')}\fR(1)", _line(found.get_short_help_str(limit=200)))


def _line(text: str) -> str:
    """Return a line of text, which begins no request of roff."""
    escaped = _escaped(text)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    """Return text in which signs of roff are none, and a hyphen can be copied to a shell."""
    return text.replace("\\", "\\e").replace("-", "\\-").replace("\b", "")
