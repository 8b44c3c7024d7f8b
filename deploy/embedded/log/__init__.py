"""The log of the embedded stack: a directory of SQLite databases that stands in for Kafka."""
