"""The HTTP process of the embedded stack: gateway and query service on one port."""
