"""How ClickHouse is reached: one set of settings for everything that talks to it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from schemas.settings import Variables


@dataclass(frozen=True, kw_only=True)
class ClickHouseSettings:
    """``url`` is ``http[s]://[user:password@]host[:port][/database]``; ``user``, ``password`` and
    ``database`` go before those in it. The files are PEM. ``insert_quorum`` is the number of
    replicas of each shard, 0 for one server.
    """

    url: str = "http://127.0.0.1:8123"
    user: str = ""
    password: str = ""
    database: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insert_quorum: int = 0

    @classmethod
    def read(cls, variables: Variables) -> ClickHouseSettings:
        """Read the variables TALLY_CLICKHOUSE_*; the mistakes are noted in ``variables``."""
        settings = cls(
            url=variables.text("TALLY_CLICKHOUSE_URL", cls.url),
            user=variables.text("TALLY_CLICKHOUSE_USER"),
            password=variables.secret("TALLY_CLICKHOUSE_PASSWORD"),
            database=variables.text("TALLY_CLICKHOUSE_DATABASE"),
            ca_file=variables.file("TALLY_CLICKHOUSE_CA_FILE"),
            cert_file=variables.file("TALLY_CLICKHOUSE_CERT_FILE"),
            key_file=variables.file("TALLY_CLICKHOUSE_KEY_FILE"),
            insert_quorum=variables.whole("TALLY_CLICKHOUSE_INSERT_QUORUM", 0, least=0),
        )
        if not _is_http_url(settings.url):  # never repeated in the error: it may hold a password
            variables.refuse(
                "TALLY_CLICKHOUSE_URL must look like "
                "http[s]://[user:password@]host[:port][/database]"
            )
        elif settings.ca_file or settings.cert_file:
            settings._check_files(variables)
        return settings

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> ClickHouseSettings:
        """Read the variables TALLY_CLICKHOUSE_*. Raises ValueError naming every mistake."""
        variables = Variables(env)
        settings = cls.read(variables)
        variables.check()
        return settings

    @property
    def address(self) -> str:
        """Where it is, without user and password, for texts that people read."""
        url = urlsplit(self.url)
        port = f":{url.port}" if url.port else ""
        return f"{url.scheme}://{url.hostname}{port}"

    def client_options(self) -> dict[str, Any]:
        """Give what `clickhouse_connect.get_async_client` takes to connect."""
        url = urlsplit(self.url)
        options: dict[str, Any] = {
            "interface": url.scheme,
            "host": url.hostname,
            "port": url.port or (8443 if url.scheme == "https" else 8123),
            "username": self.user or unquote(url.username or "default"),
            "password": self.password or unquote(url.password or ""),
            "database": self.database or unquote(url.path.strip("/")) or None,
        }
        if self.ca_file:
            options["ca_cert"] = self.ca_file
        if self.cert_file:
            options["client_cert"] = self.cert_file
            options["client_cert_key"] = self.key_file or None
            # Else the server would take the certificate for the user, and refuse the password.
            options["tls_mode"] = "mutual" if not self.password else "proxy"
        return options

    def insert_settings(self) -> dict[str, str]:
        """Give what every insert sends beside `schemas.tables.INSERT_SETTINGS`.

        With a quorum of all replicas, an insert is answered only when every replica has it, so
        whichever of them is asked next knows it (ARCHITECTURE.md, "A cluster").
        """
        if self.insert_quorum == 0:
            return {}
        return {
            "distributed_foreground_insert": "1",
            # Else a block sent again, whose first try missed its quorum, would be taken for a
            # duplicate and answered as stored. Rows sent twice merge by their version anyway.
            "insert_deduplicate": "0",
            "insert_quorum": str(self.insert_quorum),
            # One insert at a time would wait for one another, and through a Distributed table
            # ClickHouse serves no other quorum.
            "insert_quorum_parallel": "1",
            "insert_quorum_timeout": "60000",
        }

    def _check_files(self, variables: Variables) -> None:
        """Note what is wrong with the files."""
        if not self.url.startswith("https"):
            variables.refuse(
                "TALLY_CLICKHOUSE_CA_FILE or _CERT_FILE is set, but the URL is no https"
            )
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file or None)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            variables.refuse(
                f"TALLY_CLICKHOUSE_CA_FILE, _CERT_FILE or _KEY_FILE can't be used: {error}"
            )


def _is_http_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number
        return False
