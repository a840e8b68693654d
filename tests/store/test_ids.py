from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from slmdeploy.store.ids import new_id

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(first=MOMENTS, second=MOMENTS)
def test_ids_sort_in_the_order_of_their_seconds(first, second):
    if first.replace(microsecond=0) < second.replace(microsecond=0):
        assert new_id(first) < new_id(second)


def test_an_id_is_date_and_time_in_utc_and_four_letters():
    moment = datetime(2026, 11, 22, 21, 51, 32, tzinfo=timezone(timedelta(hours=2)))
    assert re.fullmatch(r"261122-195132-[0-9a-hj-km-np-tv-z]{4}", new_id(moment))


def test_ids_of_one_second_differ():
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    assert len({new_id(moment) for _ in range(20)}) > 15
