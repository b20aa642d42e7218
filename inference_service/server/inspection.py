"""Answers about uploaded pictures, each found by a process of its own: a picture that crashes its decoder does not
crash the service."""

import os
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from inference_service.workers.devices import python_path

TIMEOUT_S = 120.0
KEPT = 256
"""How many answers are remembered."""

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")


class Inspector(Generic[Question, Answer]):
    """Remembers answers by their questions. One process at a time looks; `ask` never waits for it.

    module: run with `arguments` and prints what `parse` makes an answer of.
    pending: the answer while none is known yet.
    parse: of a process that printed nothing (it crashed, or took too long), gets an empty text.
    """

    def __init__(self, module: str, pending: Answer, parse: Callable[[str], Answer]) -> None:
        self._module, self._pending, self._parse = module, pending, parse
        self._known: OrderedDict[Question, Answer] = OrderedDict()
        self._process: subprocess.Popen | None = None
        self._asked: Question | None = None
        self._since = 0.0

    def ask(self, question: Question, arguments: Callable[[], Sequence[str]]) -> Answer:
        """The answer, or `pending` while the process is at work."""
        self._collect()
        if question not in self._known and self._process is None:
            self._asked, self._since = question, time.monotonic()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self._module, *arguments()],
                env={**os.environ, "PYTHONPATH": python_path()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        return self._known.get(question, self._pending)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _collect(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            if time.monotonic() - self._since < TIMEOUT_S:
                return
            self._process.kill()
        output, _ = self._process.communicate()
        self._process = None
        assert self._asked is not None
        self._known[self._asked] = self._parse(output)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
