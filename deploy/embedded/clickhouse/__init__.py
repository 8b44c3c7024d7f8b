"""ClickHouse's HTTP protocol over the engine as a library, for a machine without a server.

Run it with ``python -m deploy.embedded.clickhouse --path DIR --port N``. Any client of the HTTP
protocol works against it unchanged; what the protocol asks is in ClickHouse's own page on the
HTTP interface.
"""
