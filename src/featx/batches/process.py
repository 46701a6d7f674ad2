"""One decoder process seen by its parent: start, send tasks, receive results, end."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import tempfile
import time

from featx import children
from featx.batches.ring import Ring
from featx.batches.worker import FOLDER_PREFIX, READY, Pipes, Result, Settings, pack_task, unpack_results
from featx.errors import DecoderError

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_REAP_SECONDS = 2.0


@dataclasses.dataclass(slots=True, eq=False)
class Task:
    """One image to decode: its row in the manifest, its file, its ring slot and, later, its result."""

    position: int
    slot: int
    path: str
    file: bytes
    ring_slot: int
    strikes: int = 0
    result: Result | None = None


class DecoderProcess:
    """A decoder process and the pipes to it.

    Parameters
    ----------
    settings : Settings
        Of all processes.
    index : int
        Which of them this is.
    ring : Ring
        The memory shared with it.
    known : int or None
        File descriptor of the known digests.

    Attributes
    ----------
    results : int
        File descriptor to wait on; readable when results have come or the process has ended.
    in_flight : dict of int to Task
        Sent, and not answered yet.
    unread : int
        Bytes of tasks that the process may not have read yet.
    alone : bool
        It works on one suspect and gets nothing else.
    ready : bool
        It has reported that it is up.
    heard : int
        When it was last heard of, by `time.monotonic_ns`.

    Raises
    ------
    DecoderError
        The process can't be created.
    """

    def __init__(self, settings: Settings, index: int, ring: Ring, known: int | None) -> None:
        self.index = index
        self.in_flight: dict[int, Task] = {}
        self.unread = 0
        self.alone = False
        self.ready = False
        self.heard = time.monotonic_ns()
        self._buffer = bytearray()
        self._folder: str | None = None
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `end`)
        tasks, self._tasks = os.pipe()
        self.results, results = os.pipe()
        life, life_end = os.pipe()
        self._open = [self._tasks, self.results, life_end]
        os.set_blocking(self.results, False)
        pipes = Pipes(tasks=tasks, results=results, life=life, ring=ring.fd, known=-1 if known is None else known)
        # A script's own `__main__` is not imported again (as multiprocessing's spawn would do), and TensorFlow's
        # threads are not forked.
        try:
            words = children.command("featx.batches.worker:serve", settings.to_json(), index, pipes)
            self._folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX)
            self._process = subprocess.Popen(  # noqa: S603  (this very interpreter, and our own words)
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                pass_fds=[fd for fd in pipes if fd >= 0],
                env=children.environment(**_ONE_THREAD),
                cwd=self._folder,
                # Ctrl-C and Ctrl-Z are for the parent: a decoder interrupted while it starts, or stopped in the
                # middle of an image, would look broken.
                process_group=0,
            )
        except OSError as error:
            self._close()
            raise DecoderError(
                "a process that reads images could not be started, because the system refused "
                f"({error.strerror or error}): use fewer `workers`, or raise the limits on processes and memory"
            ) from error
        except BaseException:
            self._close()
            raise
        finally:
            for fd in (tasks, results, life):
                os.close(fd)

    def send(self, tasks: list[Task]) -> None:
        """Send tasks; a process that has died in the meantime keeps them in `in_flight`, for `end` to give back."""
        if not self.in_flight:
            self.heard = time.monotonic_ns()
        self.in_flight.update((task.position, task) for task in tasks)
        records = b"".join(pack_task(task.position, task.ring_slot, task.file) for task in tasks)
        self.unread += len(records)
        with contextlib.suppress(BrokenPipeError):
            while records:
                records = records[os.write(self._tasks, records) :]

    def receive(self) -> tuple[list[tuple[Task, Result]], bool]:
        """Return, without waiting, the results that have arrived, and whether the process can send more."""
        alive = True
        try:
            chunk = os.read(self.results, 1 << 16)
            self._buffer += chunk
            alive = bool(chunk)
        except BlockingIOError:
            pass
        self.heard = time.monotonic_ns()
        answered = []
        for result in unpack_results(self._buffer):
            if result.position == READY:
                self.ready = True
                self._remove_folder()
                continue
            task = self.in_flight.pop(result.position)
            answered.append((task, result))
        if not self.in_flight:
            self.unread = 0
            self.alone = False
        return answered, alive

    def end(self) -> str:
        """Kill the process if it still runs, close everything, and return how it ended."""
        self._process.kill()
        # One that waits for a dead file server ends when the server comes back, not now; it will never reach its next
        # instruction, so the ring is safe from it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP_SECONDS)
        how = _how(self._process.returncode)
        self._words.seek(0)
        words = self._words.read().decode("utf-8", "replace").split("\n")
        self._close()
        last = next((" ".join(line.split()) for line in reversed(words) if line.strip()), "")
        return f"{how}: {last}" if last else how

    def _remove_folder(self) -> None:
        """Remove the working folder, which a running process no longer needs, so that no kill leaves it behind."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                os.rmdir(self._folder)  # noqa: PTH106
            self._folder = None

    def _close(self) -> None:
        self._remove_folder()
        while self._open:
            os.close(self._open.pop())
        self._words.close()


def _how(code: int | None) -> str:
    if code is None:
        return "can't be stopped"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
