"""When dead letters are too many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.limits import LetterLimits

pytestmark = pytest.mark.unit

GOOD, LETTER = False, True


def test_a_run_may_be_as_long_as_the_limit() -> None:
    """The limit itself is allowed; one more breaks it, and the text names the setting."""
    limits = LetterLimits(3, 1.0)
    assert limits.observe([LETTER] * 3) is None
    broken = limits.observe([LETTER])
    assert broken is not None
    assert "TALLY_CONSUMER_MAX_DEAD_LETTER_RUN" in broken


def test_a_run_goes_on_over_batches_and_ends_with_a_good_record() -> None:
    """What counts is the order of records, however they are cut into batches."""
    limits = LetterLimits(3, 1.0)
    assert limits.observe([LETTER, LETTER]) is None
    assert limits.observe([GOOD]) is None
    assert limits.observe([LETTER, LETTER, LETTER, GOOD, LETTER]) is None
    assert limits.observe([LETTER, LETTER]) is None
    assert limits.observe([LETTER]) is not None


def test_letters_among_good_records_are_limited_by_their_ratio() -> None:
    """One in five is too many where one in ten is allowed, and the text names the setting."""
    limits = LetterLimits(100, 0.1)
    broken = limits.observe([LETTER, GOOD, GOOD, GOOD, GOOD] * 200)
    assert broken is not None
    assert "TALLY_CONSUMER_MAX_DEAD_LETTER_RATIO" in broken
    assert "10%" in broken


def test_a_few_letters_break_no_ratio() -> None:
    """After a start a single letter is all records there are: that says nothing."""
    limits = LetterLimits(100, 0.1)
    assert limits.observe([LETTER, GOOD] * 99) is None
    assert limits.observe([LETTER, GOOD]) is not None


def test_the_ratio_looks_at_the_last_ten_thousand_records() -> None:
    """Bad records long ago are forgotten, good ones long ago excuse nothing."""
    limits = LetterLimits(100, 0.1)
    ninety = ([LETTER] * 9 + [GOOD] * 91) * 10
    assert limits.observe([GOOD] * 9_000 + ninety) is None
    assert limits.observe([GOOD] * 9_100) is None
    bad = ([LETTER] * 50 + [GOOD] * 50) * 10
    assert limits.observe(bad) is None
    assert limits.observe(bad) is None  # 1000 of 10,000: just what is allowed
    assert limits.observe([LETTER]) is not None


@pytest.mark.parametrize(("between", "is_broken"), [(9_998, True), (9_999, False)])
def test_the_window_is_ten_thousand_records_long(between: int, is_broken: bool) -> None:
    """Two letters are too many in any such window, and not in a longer one."""
    limits = LetterLimits(2, 0.00015)
    assert limits.observe([LETTER] + [GOOD] * between) is None
    assert (limits.observe([LETTER]) is not None) is is_broken


def test_a_batch_that_breaks_a_limit_is_not_counted() -> None:
    """It is not committed, so it will come again: alone it decides again, others go on."""
    limits = LetterLimits(3, 1.0)
    assert limits.observe([LETTER, LETTER]) is None
    for _ in range(3):
        assert limits.observe([LETTER, LETTER]) is not None
    assert limits.observe([LETTER]) is None
    assert limits.observe([GOOD, LETTER]) is None


def reference(outcomes: list[bool], max_run: int, max_ratio: float) -> bool:
    """Whether the records break a limit, counted the slow way."""
    run = 0
    for end, is_letter in enumerate(outcomes, 1):
        run = run + 1 if is_letter else 0
        window = outcomes[max(0, end - 10_000) : end]
        letters = sum(window)
        too_many = letters >= max_run and letters > max_ratio * len(window)
        if is_letter and (run > max_run or too_many):
            return True
    return False


@given(
    st.lists(st.lists(st.booleans(), max_size=30), max_size=8),
    st.integers(1, 12),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_limits_equal_a_slow_count(
    batches: list[list[bool]], max_run: int, max_ratio: float
) -> None:
    """In any batches, a limit is broken exactly where counting every record says so."""
    limits = LetterLimits(max_run, max_ratio)
    counted: list[bool] = []
    for batch in batches:
        broken = limits.observe(batch) is not None
        assert broken == reference([*counted, *batch], max_run, max_ratio)
        if not broken:
            counted += batch


def test_the_most_of_a_large_batch_is_more_than_a_window_may_hold() -> None:
    """Letters that are spread over several windows break no limit."""
    limits = LetterLimits(5, 0.01)
    spread = [number % 247 == 0 for number in range(25_000)]
    assert 100 < sum(spread) <= limits.most_of(25_000)
    assert limits.observe(spread) is None


@given(
    st.integers(1, 5),
    st.sampled_from([0.0, 0.001, 0.01]),
    st.integers(1, 25_000),
    st.integers(0, 12_000),
    st.data(),
)
def test_more_letters_than_the_most_surely_break_a_limit(
    max_run: int, max_ratio: float, records: int, before: int, data: st.DataObject
) -> None:
    """Wherever they stand and however many good records came before."""
    limits = LetterLimits(max_run, max_ratio)
    assert limits.observe([GOOD] * before) is None
    count = limits.most_of(records) + 1
    if count > records:
        return
    step = data.draw(st.sampled_from([1, records // count]), label="every")
    start = data.draw(st.integers(0, records - (count - 1) * step - 1), label="first")
    letters = set(range(start, start + count * step, step))
    assert limits.observe([number in letters for number in range(records)]) is not None
