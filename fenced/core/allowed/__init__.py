"""Whether automatic power is allowed now: the gates, each with its reason (S10 to S13, S18, S19). `match`: whom a pause selects."""
