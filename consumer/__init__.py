"""The consumer: takes records from the log, resolves them by event ID, stores them once."""
