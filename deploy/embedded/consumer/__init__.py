"""The consumer process of the embedded stack."""
