"""Certificates for tests, made with the ``openssl`` command: an authority, and what it signs."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_DAYS = "2"


@dataclass(frozen=True)
class Certificate:
    """What one side shows: its certificate and its key, as PEM files."""

    cert_file: Path
    key_file: Path

    def as_one_file(self) -> Path:
        """Give a file with the key and the certificate, as Kafka's PEM keystores are."""
        both = self.cert_file.with_suffix(".both.pem")
        both.write_text(self.key_file.read_text() + self.cert_file.read_text())
        return both


class Authority:
    """Signs certificates; whoever trusts ``ca_file`` trusts them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self.ca_file = directory / "ca.pem"
        self._key_file = directory / "ca.key"
        _openssl(
            *("req", "-x509", "-nodes", "-days", _DAYS, "-subj", "/CN=Tally's tests"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-addext", "keyUsage=critical,keyCertSign"),
            *("-keyout", str(self._key_file), "-out", str(self.ca_file)),
        )

    def issue(self, name: str, *, address: str = "127.0.0.1", password: str = "") -> Certificate:
        """Make a certificate for ``name`` that is good for ``address``, an IP address.

        With a ``password``, the key's file is encrypted with it.
        """
        made = Certificate(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        request = self._directory / f"{name}.csr"
        extensions = self._directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName=IP:{address}\nauthorityKeyIdentifier=keyid\n")
        _openssl(
            *("req", "-new", "-subj", f"/CN={name}"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *(("-passout", f"pass:{password}") if password else ("-nodes",)),
            *("-keyout", str(made.key_file), "-out", str(request)),
        )
        _openssl(
            *("x509", "-req", "-days", _DAYS, "-in", str(request), "-extfile", str(extensions)),
            *("-CA", str(self.ca_file), "-CAkey", str(self._key_file), "-CAcreateserial"),
            *("-out", str(made.cert_file)),
        )
        return made


def _openssl(*arguments: str) -> None:
    assert shutil.which("openssl"), "these tests need the 'openssl' command: install it"
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
