"""Keep decoder processes alive, and find the image that one of them died of."""

import contextlib
import logging
import math
import selectors
import time
from collections import deque
from collections.abc import Iterable

from featx.batches.process import DecoderProcess, Task
from featx.batches.ring import IDLE, Ring
from featx.batches.worker import Result, Settings
from featx.errors import DecoderError, Reason

_log = logging.getLogger(__name__)

_START_SECONDS = 120.0  # to import numpy and OpenCV from a cold or remote disk
_STARTS = 4  # in vain, one after another, before a process is given up
_STRIKES = 2  # one may be the system's (out of memory, a pause), two are the image's
_MANY = 16  # images in flight that keep the processes busy for longer than a nap
_NAP_SECONDS = 0.003
_UNREAD_BYTES = 16 << 10  # less than a pipe holds, so that sending never blocks


class Supervisor:
    """Decoder processes that together answer every task that they are given.

    A process marks in the ring which image it works on. When it dies or works on one image for too long it is replaced,
    its other images go back to the queue, and the marked one, the suspect, is tried again alone in a fresh process; if
    that ends too, the image is a failure.

    Parameters
    ----------
    settings : Settings
        Of all processes.
    ring : Ring
        The memory shared with them.
    known : int or None
        File descriptor of the known digests.
    seconds : dict of str to float
        Counts to which the time that processes spend is added: ``"read"`` and ``"decode"``.
    """

    def __init__(self, settings: Settings, ring: Ring, known: int | None, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._settings = settings
        self._ring = ring
        self._known = known
        self._processes: list[DecoderProcess] = []
        self._selector = selectors.DefaultSelector()
        self._queue: deque[Task] = deque()
        self._suspects: deque[Task] = deque()
        self._vain_starts = [0] * settings.workers

    def start(self) -> None:
        """Start the processes if none run, without waiting until they are ready.

        Raises
        ------
        DecoderError
            The system refuses to create a process.
        """
        if not self._processes:
            self._vain_starts = [0] * self._settings.workers
            for index in range(self._settings.workers):
                self._launch(index)

    def submit(self, tasks: Iterable[Task]) -> None:
        """Take tasks, to be answered in any order: their `result` is set during a later `step`."""
        self._queue.extend(tasks)
        self._feed()

    def step(self, until: float = math.inf) -> None:
        """Wait until something happens: results come, a process ends, or one has been busy for too long.

        Parameters
        ----------
        until : float
            Time of `time.monotonic` after which it isn't waited for anything.

        Raises
        ------
        DecoderError
            A process can't be started, or keeps ending without an image to blame.
        """
        events = self._selector.select(max(0.0, min(self._patience(), until - time.monotonic())))
        if sum(len(process.in_flight) for process in self._processes) >= _MANY:
            # Waking up for every image would cost more than all else that is done for it here.
            time.sleep(_NAP_SECONDS)
            events = self._selector.select(0)
        for key, _ in events:
            process: DecoderProcess = key.data
            if not self._listen(process):
                self._replace(process, "crashed")
        for process in tuple(self._processes):
            if self._seconds_left(process) <= 0:
                self._replace(process, "timeout")
        self._feed()

    def stop(self) -> None:
        """Kill all processes and forget all tasks; `start` may follow."""
        self._queue.clear()
        self._suspects.clear()
        while self._processes:
            self._remove(self._processes[-1])

    def close(self) -> None:
        """Stop for good, and free what was needed to wait."""
        self.stop()
        self._selector.close()

    def _launch(self, index: int) -> None:
        process = DecoderProcess(self._settings, index, self._ring, self._known)
        self._processes.append(process)
        self._selector.register(process.results, selectors.EVENT_READ, process)

    def _remove(self, process: DecoderProcess) -> str:
        with contextlib.suppress(KeyError):  # an earlier removal was interrupted
            self._selector.unregister(process.results)
        how = process.end()
        self._processes.remove(process)
        return how

    def _feed(self) -> None:
        for process in self._processes:
            if self._suspects and not process.in_flight:
                process.alone = True
                process.send([self._suspects.popleft()])
        if not self._queue:
            return
        # Everything is sent that may be, since nobody feeds the processes while the consumer is busy with a batch.
        outgoing: dict[DecoderProcess, list[Task]] = {
            process: [] for process in self._processes if not process.alone and process.unread < _UNREAD_BYTES
        }
        room = {process: _UNREAD_BYTES - process.unread for process in outgoing}
        load = {process: len(process.in_flight) for process in outgoing}
        while self._queue and room:
            process = min(room, key=load.__getitem__)
            task = self._queue.popleft()
            outgoing[process].append(task)
            load[process] += 1
            room[process] -= 16 + len(task.file)
            if room[process] <= 0:
                del room[process]
        for process, tasks in outgoing.items():
            if tasks:
                process.send(tasks)

    def _listen(self, process: DecoderProcess) -> bool:
        answered, alive = process.receive()
        for task, result in answered:
            task.result = result
            self._seconds["read"] += result.read
            self._seconds["decode"] += result.decode
        if answered:
            self._vain_starts[process.index] = 0
        return alive

    def _patience(self) -> float:
        return min(map(self._seconds_left, self._processes))

    def _seconds_left(self, process: DecoderProcess) -> float:
        """Return the seconds until a process counts as hung."""
        if not process.in_flight:
            return _START_SECONDS
        mark = self._ring.marks[process.index]
        position, since = int(mark[0]), int(mark[1])
        if position == IDLE:
            since = process.heard
        allowed = self._settings.timeout_s if process.ready else _START_SECONDS
        return allowed - (time.monotonic_ns() - since) / 1e9

    def _replace(self, process: DecoderProcess, reason: Reason) -> None:
        how = self._remove(process)
        # What it finished after its last answer that was read is simply done again.
        mark = self._ring.marks[process.index]
        suspect = process.in_flight.pop(int(mark[0]), None)
        mark[0] = IDLE
        self._queue.extendleft(reversed(process.in_flight.values()))
        if suspect is None:
            self._vain_starts[process.index] += 1
            _log.warning("A process that reads images ended before it read one (%s); it is started again", how)
            if self._vain_starts[process.index] >= _STARTS:
                raise DecoderError(
                    f"the processes that read images ended {_STARTS} times in a row before they read an image "
                    f"({how}): check that `python -c 'import cv2, PIL'` works and that memory is free"
                )
        else:
            suspect.strikes += 1
            if suspect.strikes < _STRIKES:
                _log.warning(
                    "A process that reads images ended at %r (%s); this image is tried again alone", suspect.path, how
                )
                self._suspects.append(suspect)
            else:
                suspect.result = Result(suspect.position, reason, message=self._message(reason, how))
        self._launch(process.index)

    def _message(self, reason: Reason, how: str) -> str:
        if reason == "timeout":
            return f"reading it took more than {self._settings.timeout_s:g} s, twice"
        return f"reading it crashed the process, twice ({how})"
