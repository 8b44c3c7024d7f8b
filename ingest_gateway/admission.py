"""How much the gateway takes on at once: pure counting, decided before anything is queued."""

from __future__ import annotations


class Admission:
    """Counts the bytes of all requests between their first byte and their answer, in all and for
    each key, so that one sender can't take all the room.
    """

    def __init__(self, max_bytes_in_flight: int, max_bytes_per_key: int | None = None) -> None:
        self._max_bytes = max_bytes_in_flight
        self._max_bytes_per_key = max_bytes_per_key or max_bytes_in_flight
        self._bytes = 0
        self._bytes_by_key: dict[str, int] = {}

    @property
    def bytes_in_flight(self) -> int:
        """What is taken just now."""
        return self._bytes

    def room(self, key_id: str) -> Room:
        """Give the room of one request; whoever asks for it gives back what it took."""
        return Room(self, key_id)

    def take(self, key_id: str, size_bytes: int) -> bool:
        """Take room for this many bytes, or say no."""
        of_key = self._bytes_by_key.get(key_id, 0) + size_bytes
        if self._bytes + size_bytes > self._max_bytes or of_key > self._max_bytes_per_key:
            return False
        self._bytes += size_bytes
        self._bytes_by_key[key_id] = of_key
        return True

    def why_full(self, key_id: str, size_bytes: int) -> str:
        """Say which limit is in the way of so many bytes more, if one is."""
        if self._bytes_by_key.get(key_id, 0) + size_bytes > self._max_bytes_per_key:
            return (
                f"the requests under way with this API key hold {self._max_bytes_per_key} bytes, "
                "which is all that one key may"
            )
        return "the gateway has no room for another request just now"

    def give_back(self, key_id: str, size_bytes: int) -> None:
        """Return what was taken."""
        self._bytes -= size_bytes
        left = self._bytes_by_key.pop(key_id, 0) - size_bytes
        if left:
            self._bytes_by_key[key_id] = left


class Room:
    """What one request has taken so far: ``size_bytes`` is what it holds, ``taken_bytes`` all that
    it ever took, and ``why_full`` the reason of the last refusal, for the sender.
    """

    def __init__(self, admission: Admission, key_id: str) -> None:
        self._admission = admission
        self._key_id = key_id
        self.size_bytes = 0
        self.taken_bytes = 0
        self.why_full = ""

    def take(self, size_bytes: int) -> bool:
        """Take room for more bytes, or say no."""
        if not self._admission.take(self._key_id, size_bytes):
            self.why_full = self._admission.why_full(self._key_id, size_bytes)
            return False
        self.size_bytes += size_bytes
        self.taken_bytes += size_bytes
        return True

    def give_back(self, size_bytes: int | None = None) -> None:
        """Return some of it, or all that is left. May be called twice."""
        size_bytes = self.size_bytes if size_bytes is None else size_bytes
        if size_bytes:
            self._admission.give_back(self._key_id, size_bytes)
            self.size_bytes -= size_bytes
