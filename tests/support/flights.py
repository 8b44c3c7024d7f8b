"""Flights as a sender has them: each announced when scheduled, sent again when it left.

Made here, so that a test needs nothing but the repository; in the manner of a real month of
departures, where the second send has another name, another time and often another hour or day.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

Flight = dict[str, Any]

FIRST_DAY = datetime(2026, 1, 1, 5, tzinfo=UTC)
LAST_DAY = FIRST_DAY + timedelta(days=33)


def flights(count: int, seed: int = 7) -> list[Flight]:
    """Make two sends for each of ``count`` flights, in the order in which they would be sent."""
    random = Random(seed)
    sends: list[tuple[datetime, int, Flight]] = []
    for number in range(count):
        planned = FIRST_DAY + timedelta(minutes=random.randrange(31 * 24 * 60))
        carrier = random.choice(["UA", "AA", "B6", "DL", "EV"])
        delay = timedelta(minutes=random.choice([-5, 0, 3, 20, 64, 155, 1440]))
        facts = {"dest": random.choice(["IAH", "MIA", "BQN"]), "distance": random.randrange(3000)}
        announced = _send(number, "flight.scheduled", carrier, planned, facts)
        departed = _send(
            number,
            random.choice(["flight.departed", "flight.cancelled"]),
            carrier if number % 50 else "OO",
            planned + delay,
            {**facts, "tailnum": f"N{number}", "dep_delay": delay.total_seconds() / 60},
        )
        sends.append((planned - timedelta(hours=2), number, announced))
        sends.append((planned + max(delay, timedelta(0)), number, departed))
    return [flight for _, _, flight in sorted(sends, key=lambda send: send[:2])]


def last_of_each(sends: Iterable[Flight]) -> dict[str, Flight]:
    """What must stand after these sends: the last one of each ID."""
    return {flight["event_id"]: flight for flight in sends}


def write_ndjson(path: Path, sends: Iterable[Flight]) -> Path:
    """Write sends as a file that can be loaded."""
    path.write_text("".join(json.dumps(flight) + "\n" for flight in sends))
    return path


def _send(number: int, name: str, carrier: str, at: datetime, properties: Flight) -> Flight:
    return {
        "event_id": f"{number % 977}/{number}",
        "event_name": name,
        "external_customer_id": carrier,
        "source": ["EWR", "JFK", "LGA"][number % 3],
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "properties": properties,
    }
