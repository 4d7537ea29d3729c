"""What several adapters share of the network and of files that others name."""
