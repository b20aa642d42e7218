"""The machine that something is measured on, and what it holds meanwhile."""

import os
import platform
import threading

import psutil


def machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} CPU cores, {memory:.0f} GiB memory, {system}"


class PeakMemory(threading.Thread):
    """Watches what the processes that `pid` started, and theirs, hold at most (resident bytes)."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0.25):
            total = 0
            try:
                for child in self._process.children(recursive=True):
                    total += child.memory_info().rss
            except psutil.Error:
                continue
            self.peak = max(self.peak, total)

    def stop(self) -> None:
        self._stopped.set()
        self.join()
