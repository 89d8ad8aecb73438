"""Asks the store on a thread of its own, so that a slow one stops no heartbeat."""

import os
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class StoreAsker(Generic[Answer]):
    """One question to a store at a time.

    `descriptor` becomes readable when there is an answer for `answer`. A store
    that never answers holds up its thread, which dies with the process, and
    nothing else.
    """

    def __init__(self) -> None:
        self._questions: queue.SimpleQueue[Callable[[], Answer]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
        threading.Thread(target=self._serve, name="store", daemon=True).start()

    def ask(self, question: Callable[[], Answer]) -> None:
        """Put a question: something to be called that asks a store."""
        self._questions.put(question)

    def answer(self) -> Answer:
        """Return the answer that made `descriptor` readable; raises what the store raised."""
        os.eventfd_read(self.descriptor)
        answer = self._answers.get_nowait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _serve(self) -> None:
        while True:
            question = self._questions.get()
            try:
                self._answers.put(question())
            except Exception as error:  # ends the node, not this thread alone
                self._answers.put(error)
            os.eventfd_write(self.descriptor, 1)
