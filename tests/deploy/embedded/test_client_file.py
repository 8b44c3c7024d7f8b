"""`client.env` and the credentials in it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from deploy.client import CLIENT_FILE, read_client_file
from deploy.embedded.client_file import FIRST_TENANT, credentials, write_client_file
from deploy.keys_topic import EmbeddedKeys


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Names and values come back, and a file that is not there is empty."""
    path = tmp_path / CLIENT_FILE
    assert read_client_file(path) == {}
    values = {"BASE_URL": "http://127.0.0.1:8080", "API_KEY": "tally_a-b_c", "SERVERS": "a:1,b:2"}
    write_client_file(path, values)
    assert read_client_file(path) == values
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("value", ["a b", "$(reboot)", "a'b", 'a"b', "a;b", "a\nb", "a=b"])
def test_what_a_shell_would_read_is_refused(tmp_path: Path, value: str) -> None:
    """A shell sources the file, so a value may hold nothing that it would interpret."""
    with pytest.raises(ValueError, match="BASE_URL"):
        write_client_file(tmp_path / CLIENT_FILE, {"BASE_URL": value})


@pytest.mark.parametrize("end", ["revoked_at", "expires_at"])
async def test_the_first_start_makes_a_tenant_and_later_ones_keep_its_key(
    tmp_path: Path, end: str
) -> None:
    """The key of the file is kept as long as it counts; revoked or expired, another is made."""
    keys = EmbeddedKeys(tmp_path / "log")
    first = await credentials(tmp_path, keys)
    (key,) = await keys.read()
    assert key.tenant == FIRST_TENANT
    write_client_file(tmp_path / CLIENT_FILE, first)
    assert await credentials(tmp_path, keys) == first
    await keys.append(msgspec.structs.replace(key, **{end: "2026-01-01T00:00:00Z"}))
    assert (await credentials(tmp_path, keys))["API_KEY"] != first["API_KEY"]
