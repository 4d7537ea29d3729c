"""The packages that .ci/packages builds: their content, their description, and the same bytes from the same source."""
