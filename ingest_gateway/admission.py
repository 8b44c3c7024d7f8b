"""How much the gateway takes on at once: pure counting, decided before anything is queued."""

from __future__ import annotations


class Admission:
    """Counts the bytes of all requests between their first byte and their answer."""

    def __init__(self, max_bytes_in_flight: int) -> None:
        self._max_bytes = max_bytes_in_flight
        self._bytes = 0

    @property
    def bytes_in_flight(self) -> int:
        """What is taken just now."""
        return self._bytes

    def take(self, size_bytes: int) -> bool:
        """Take room for this many bytes, or say no; whoever took, gives back."""
        if self._bytes + size_bytes > self._max_bytes:
            return False
        self._bytes += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """Return what was taken."""
        self._bytes -= size_bytes


class Room:
    """What one request has taken so far, to be given back as a whole."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.size_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """Take room for more bytes, or say no."""
        if not self._admission.take(size_bytes):
            return False
        self.size_bytes += size_bytes
        return True

    def give_back(self) -> None:
        """Return everything. May be called twice."""
        self._admission.give_back(self.size_bytes)
        self.size_bytes = 0
