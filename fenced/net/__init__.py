"""What several adapters share of the network."""
