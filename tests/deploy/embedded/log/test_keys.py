"""The embedded topic of API keys."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from deploy.embedded.log.keys import KeysFeed, append_key, read_keys
from schemas.errors import ApiError
from schemas.keys import READ, KeyRing, make_key


def test_a_feed_sees_what_others_append(tmp_path: Path) -> None:
    """Keys made and revoked by another process reach a ring without a restart."""
    ring = KeyRing()
    feed = KeysFeed(tmp_path, ring)
    feed.catch_up()
    made = make_key("acme", "")
    headers = {"x-api-key": made.api_key}
    append_key(tmp_path, made.record)
    with pytest.raises(ApiError):
        ring.caller_of(headers, READ)
    feed.catch_up()
    assert ring.caller_of(headers, READ).tenant == "acme"
    append_key(tmp_path, msgspec.structs.replace(made.record, revoked_at="2026-01-01T00:00:00Z"))
    feed.catch_up()
    with pytest.raises(ApiError, match="revoked"):
        ring.caller_of(headers, READ)
    feed.close()


def test_the_topic_is_compacted(tmp_path: Path) -> None:
    """Of each key only the last record is kept, in the order of the last changes."""
    first, second = make_key("a", ""), make_key("b", "")
    append_key(tmp_path, first.record)
    append_key(tmp_path, second.record)
    changed = msgspec.structs.replace(first.record, name="renamed")
    append_key(tmp_path, changed)
    assert read_keys(tmp_path) == [second.record, changed]
