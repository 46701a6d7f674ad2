"""Ctrl-C and SIGTERM: the program ends within two seconds, whatever it is busy with."""

import contextlib
import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

MESSAGE = "stopped; all finished work is kept, and the same command will continue from there"

GRACE_SECONDS = 1.5
"""Time to put things away; afterwards the process is ended as it is, which costs a store no more than a kill does."""


class Stopping:
    """Turns the first SIGINT or SIGTERM into KeyboardInterrupt, and sees to it that the process does end.

    A KeyboardInterrupt waits until the main thread is back from native code (loading TensorFlow or compiling a network
    can take many seconds there), and some libraries swallow it. So a thread waits as well, woken by the system's own
    signal handler: where the process is still there after the grace, it is ended at once. Further signals change
    nothing: terminals, `timeout` and process managers often send two.

    Attributes
    ----------
    signal : int or None
        The signal that came.
    told : bool
        The user has been told; set by the owner.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.told = False
        self._before: dict[int, Any] = {}
        self._pipe: tuple[int, int] | None = None
        self._stderr = -1

    @property
    def exit_code(self) -> int:
        """Exit code that a shell gives for a process that a signal ended: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + (self.signal or 0)

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may handle signals
        wanted = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) is not signal.SIG_IGN]
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        with contextlib.suppress(OSError):  # started without a stderr
            self._stderr = os.dup(2)  # while a library is loaded, 2 may lead elsewhere
        threading.Thread(target=self._watch, args=self._pipe[:1], name="featx-stopping", daemon=True).start()
        signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        for one in wanted:
            self._before[one] = signal.signal(one, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # After a signal the watch goes on until the interpreter is gone: its end can hang as well.
        if self._pipe is None or self.signal is not None:
            return
        for one, before in self._before.items():
            signal.signal(one, before)
        signal.set_wakeup_fd(-1)
        os.close(self._pipe[1])  # which ends the watch
        with contextlib.suppress(OSError):
            os.close(self._stderr)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
            for one in self._before:
                # Not by a handler that does nothing: the interpreter gives up its handlers as it ends.
                signal.signal(one, signal.SIG_IGN)
            raise KeyboardInterrupt

    def _watch(self, pipe: int) -> None:
        number = 0
        while number not in (signal.SIGINT, signal.SIGTERM):
            if not (woken := os.read(pipe, 1)):
                os.close(pipe)
                return
            number = woken[0]
        time.sleep(GRACE_SECONDS)
        if not self.told:
            with contextlib.suppress(OSError):
                os.write(self._stderr, f"featx: {MESSAGE}\n".encode())
        os._exit(128 + number)
