"""Runs programs so that none outlives its call or the daemon (S16). It knows processes, not fence agents.

    client ─> connection ─> the keeper process (programs/keeper.py) ─> program
      └─> warm_agents ─> a connection to each template (programs/warm_template.py) ─> Python agent

`client` is the door. A warm template speaks the keeper's protocol, so `connection` serves both.
"""
