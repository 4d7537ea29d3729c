"""HTTP: REST, OpenAPI, health. Sees the engine through ports.control alone."""
