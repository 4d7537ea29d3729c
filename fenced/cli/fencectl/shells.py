"""`fencectl completion` and `fencectl profiles`: what a user's shell and file know. They ask no daemon."""

import click
from click.shell_completion import get_completion_class

from fenced.cli.fencectl import profiles, text
from fenced.cli.fencectl.profiles import EXAMPLE, BadProfile
from fenced.cli.fencectl.session import Command, Output

VARIABLE = "_FENCECTL_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion of SHELL: commands, options, and names of hosts, clusters and operations.

    The Debian package installs it. The names come from the daemon that `fencectl` would ask, within two seconds.

    \b
    Example: fencectl completion bash >/etc/bash_completion.d/fencectl
             fencectl completion zsh >/usr/local/share/zsh/site-functions/_fencectl
             fencectl completion fish >~/.config/fish/completions/fencectl.fish
    """
    click.echo(script(shell, ctx.find_root().command))


def script(shell: str, program: click.Command) -> str:
    """Return the script of one of SHELLS that completes the words of the program."""
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(program, {}, "fencectl", VARIABLE)
    return made.source_template % made.source_vars()


@click.command("profiles", cls=Command)
@click.pass_obj
def listed(output: Output) -> None:
    """List the profiles of ~/.config/fenced/config.toml, and the one that is used by default.

    A profile names a site: its controllers, and the token and the certificate authority for them.

    Example: fencectl profiles
    """
    try:
        known = profiles.read(profiles.default_path())
    except BadProfile as exc:
        raise click.UsageError(str(exc)) from exc
    answer = {
        "file": str(known.path),
        "default": known.default or None,
        "items": [
            {"name": name, "url": place.url, "token_file": place.token_file, "ca_file": place.ca_file}
            for name, place in known.places.items()
        ],
    }
    if not known.places:
        output.say(answer, lambda: [f"no profile: {known.path} may have some, for example", "", *EXAMPLE.splitlines()])
        return
    rows = [
        (name, "default" if name == known.default else "", place.url or "", place.token_file or "", place.ca_file or "")
        for name, place in known.places.items()
    ]
    output.say(answer, lambda: text.table(("PROFILE", "USED", "URL", "TOKEN FILE", "CA FILE"), rows))
