"""Pruning the store while the service runs, and returning memory to the system."""

import logging
import threading
import time
from collections.abc import Callable

from inference_service.store.housekeeping import MAX_AGE_S, QUOTA_BYTES, SPARE_S, prune, sweep
from inference_service.store.store import Store
from inference_service.wire.messages import Error, Pruned
from lookbeyond.errors import LookBeyondError, sentence

log = logging.getLogger(__name__)


class Housekeeper:
    """Prunes the store in a thread, for there may be many files. `needed`: the names that unfinished jobs need."""

    def __init__(
        self, store: Store, needed: Callable[[], set[str]], quota_bytes: int = QUOTA_BYTES, max_age_s: float = MAX_AGE_S
    ):
        self._store, self._needed = store, needed
        self._quota_bytes, self._max_age_s = quota_bytes, max_age_s
        self.thread: threading.Thread | None = None

    def tidy(self) -> None:
        """Prune to the service's own quota and age, unless that is being done."""
        if not (self.thread and self.thread.is_alive()):
            self.prune(self._quota_bytes, self._max_age_s, lambda reply: None, SPARE_S)

    def prune(self, quota_bytes: int, max_age_s: float, reply: Callable[[object], None], spare_s: float = 0.0) -> None:
        """Sweep and prune the store; `reply` is called in the thread, with `Pruned` or `Error`, at the end."""
        needed, asked, before = self._needed(), time.monotonic(), self.thread

        def work() -> None:
            if before:
                before.join()
            try:
                sweep(self._store)
                # what is used from now on is not in `needed`
                spared_s = spare_s + time.monotonic() - asked
                removed = prune(self._store, needed, quota_bytes, max_age_s, spared_s)
                pruned = Pruned(len(removed), sum(entry.bytes for entry in removed))
                if removed:
                    log.info("store pruned", extra={"entries": pruned.entries, "bytes": pruned.bytes})
                reply(pruned)
            except (OSError, LookBeyondError) as error:
                reply(Error(getattr(error, "code", "storage"), sentence(str(error))))

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def join(self, timeout_s: float) -> None:
        if self.thread:
            self.thread.join(timeout_s)
