"""Fence agents: every `fence_*` program with the ClusterLabs interface serves as a driver.

    device ─> driver ─> parameters ─> keeper ─> the agent, on its standard input
                │           └── options, values: which settings are refused, and why
                ├── metadata, cache: which parameters the agent declares
                ├── reviews: whether its OFF proves anything
                └── failures, silence: what its exit status and output mean   ─> Power, or DeviceError

    config ─> catalogue ─> descriptions ─> metadata, options, reviews, values, kinds   (nothing runs)
    proxy  ─> watch ─> driver                                  (reads metadata before a call needs it)

OFF is exit status 2 *and* `Status: OFF`. A usage error exits with 2 as well.
"""
