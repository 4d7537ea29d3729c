"""Configuration files become one Configuration, or the list of every mistake in them. Nothing else reads configuration.

    load              the way of one run: read, parse, build, check
      checks/         what the whole must fulfil: from the built draft to findings
      build, names    references, merged settings, secrets, plugs; who is the daemon's own machine
      entries         data centres, clusters, proxies and hosts, each with its place in a file
      validate        one raw table against its keys (tables, inventory_tables, keys)
      read, files     TOML, YAML and JSON
      mistakes        what is wrong, and where

`agent_files` does the same for the files of `fenced proxy` and `fenced beat`; `reference` writes the documents
of all keys.
"""
