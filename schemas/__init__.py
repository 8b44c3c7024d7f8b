"""The contract that the services share: bytes and values, no I/O."""
