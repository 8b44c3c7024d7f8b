"""The query service: exact, filtered, paginated reads of what the consumer stored."""
