"""The ID of a request."""

from __future__ import annotations

import pytest

from schemas.request_id import request_id_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("given", ["a", "7f0b-1", "x" * 128, "!~", "request 1"])
def test_the_clients_own_is_kept(given: str) -> None:
    """Any printable ASCII, up to 128 characters."""
    assert request_id_of({"X-Request-ID": given}) == given


@pytest.mark.parametrize("given", ["", "x" * 129, "é", "a\tb", "a\x00"])
def test_any_other_is_replaced(given: str) -> None:
    """What could break a log line, or fill one, is not repeated."""
    made = request_id_of({"X-Request-ID": given})
    assert made not in ("", given)
    assert made.isascii()


def test_made_ones_differ() -> None:
    """Two requests have two IDs."""
    assert request_id_of({}) != request_id_of({})
