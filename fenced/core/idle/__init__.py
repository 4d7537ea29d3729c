"""Which hosts are idle, and why a host may not be put to sleep (S24). Nothing here acts; `saving` does."""
