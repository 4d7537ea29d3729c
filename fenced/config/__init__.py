"""TOML, YAML and JSON in, model values out; every mistake at once. Nothing else reads configuration."""
