"""`fenced import`: each source, and the files that the command writes."""
