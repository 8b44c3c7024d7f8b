"""ClickHouse as Tally needs it: numbered SQL, and what applies it."""
