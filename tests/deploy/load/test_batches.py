"""Batches hold every line once, in order, within the limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.load.batches import make_batches
from deploy.load.lines import Prepared, Refusal

pytestmark = pytest.mark.unit


@given(st.lists(st.integers(0, 12)), st.integers(1, 5), st.integers(0, 10))
def test_every_line_is_in_one_batch(sizes: list[int], max_rows: int, after_line: int) -> None:
    """Lines after the place come in order; a batch keeps to both limits, or is one event."""
    lines: list[Prepared] = [
        (number, b"x" * size) if size else Refusal(number, "", "no")
        for number, size in enumerate(sizes, start=1)
    ]

    batches = list(
        make_batches(
            lines, max_rows=max_rows, max_bytes=20, after_line=after_line, position=lambda: 7
        )
    )

    held = [sorted([*batch.events, *batch.refusals], key=lambda item: item[0]) for batch in batches]
    assert [item for batch in held for item in batch] == lines[after_line:]
    for batch, items in zip(batches, held, strict=True):
        assert 1 <= len(items) <= max_rows
        assert len(batch.events) == 1 or sum(len(text) + 1 for _, text in batch.events) <= 20
        assert batch.last_line == items[-1][0]
        assert batch.position == 7
