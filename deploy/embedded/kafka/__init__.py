"""One Apache Kafka broker (KRaft, no ZooKeeper) from Kafka's own jars, for ``tally up --kafka``.

Run it with ``python -m deploy.embedded.kafka --path DIR --port N``. It needs Java 17 or newer, and
Maven once, to fetch the jars that ``pom.xml`` names. How a broker is configured stands in
``config.py`` alone, which the tests use as well.
"""
