"""`tally topics`: makes, mends and verifies the topics in Kafka."""
