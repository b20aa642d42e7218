"""What worlds and shots would cost; the service is asked in a separate thread. No bpy here."""

import threading
from collections.abc import Iterable

from ..kit import Price, PriceQuestion, ServiceError
from .jobs import Connect


class Prices:
    """The service's last answers. `tick` asks what is not answered yet."""

    def __init__(self) -> None:
        self.known: dict[PriceQuestion, Price] = {}
        self._current: set[PriceQuestion] = set()
        self._thread: threading.Thread | None = None

    def tick(self, questions: Iterable[PriceQuestion], connect: Connect) -> bool:
        """Ask the service, unless it was asked already; returns whether there are new answers."""
        if self._thread is not None and self._thread.is_alive():
            return False
        answered, self._thread = self._thread is not None, None
        open_questions = [question for question in questions if question not in self._current]
        if open_questions:
            self._current.update(open_questions)  # one that fails is not asked again before the next `expire`
            self._thread = threading.Thread(
                target=self._ask, args=(open_questions, connect), name="look_beyond_prices", daemon=True
            )
            self._thread.start()
        return answered

    def expire(self) -> None:
        """Ask everything again: after a job, the service knows better. Until then the former answers hold."""
        self._current.clear()

    def close(self) -> None:
        """Wait for the thread, at most as long as a connection may take, and forget everything."""
        if self._thread is not None:
            self._thread.join(10)
        self.__init__()

    def _ask(self, questions: list[PriceQuestion], connect: Connect) -> None:
        try:
            with connect() as client:
                for question in questions:
                    self.known[question] = client.price(question)
        except ServiceError:
            pass  # nobody waits for a price; the next job tells what is wrong


def time_text(seconds: float | None) -> str:
    """A time as one says it: 25 s, 3 min, 1 h 20 min; a dash if it is unknown."""
    if seconds is None:
        return "–"
    if seconds < 57:
        return f"{max(1, round(seconds))} s" if seconds < 10 else f"{5 * round(seconds / 5)} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(5 * round(minutes / 5), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def size_text(size_bytes: float) -> str:
    """A size of files in MB or GB, with two digits."""
    value, unit = (size_bytes / 1e9, "GB") if size_bytes >= 1e9 else (size_bytes / 1e6, "MB")
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
