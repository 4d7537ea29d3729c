"""What others see of a record: CloudEvents and the retained state of a host."""
