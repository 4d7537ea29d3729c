"""`fencectl`, the operator's program: one HTTP call to a running daemon per question, an exit code per outcome.

    commands     the command line: one function per command; `arming`, `drill`, `explaining`, `handing_over`, `holds`,
                 `saving`, `shells` and `watching` have the larger ones, with their pages
      profiles   sites of the user's file   completing  names for the shell
      session    one run: output, questions to an operator, errors turned into exit codes
        wait     follow an operation until it ends
          controllers  several addresses: finds the one that answers, and the one that acts (`following`)
            client     HTTP and JSON; every failure is one of three errors
      text       tables and pages          story, ../waterfall  an operation as lines, a sentence, bars
      tables     lines that know their cells          screen  how a terminal shows them

It knows the HTTP API and nothing of the engine.
"""

from fenced.cli.fencectl import arming as arming  # its commands belong to `main`
from fenced.cli.fencectl.commands import main

__all__ = ["main"]
