"""Numbers in words."""

import pytest

from arena.wording import format_bytes, format_seconds, format_transfer


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (884_878_856, "884.9 MB"), (3_450_062_241, "3.5 GB")],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4234, "0.42 s"), (59.5, "59.50 s"), (125.2, "2 min 5 s")])
def test_seconds_for_people(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_transfers_for_people() -> None:
    assert format_transfer(412_000_000, 885_000_000, 31_400_000) == "412 of 885 MB at 31.4 MB/s"
    assert format_transfer(2_000_000, 0, 500_000) == "2 MB at 0.5 MB/s"
