"""`tally analysts`: users of ClickHouse who read one tenant's events."""
