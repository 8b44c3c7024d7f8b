"""The consumer over Kafka: reading its topic, writing its dead letters."""
