"""TOML, YAML and JSON in, model values out; every mistake at once. Nothing else reads configuration.

The way of a file: `read` (tables) -> `validate` against `tables` and `inventory_tables` -> `entries` (each with its
place) -> `build` (references, merging, secrets) -> the checks (`timing`, `levels`, `reach`, `outlets`,
`not_yet`) -> `load`.
"""
