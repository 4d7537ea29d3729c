"""`python -m fenced.cli.fencectl`."""

from fenced.cli.fencectl.commands import main

main(prog_name="fencectl")
