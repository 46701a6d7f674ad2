"""Loaded by Python at the start of every process under test: breaks it as the environment variable FEATX_FAULT says.

In a decoder process, ``decoder`` replaces what decodes. In the program, the calls that change a file or its name are
counted in each phase: ``log`` keeps the phases, and the call number ``at`` of ``phase`` meets with what ``how`` says.
"""

import errno
import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

FAULT = json.loads(os.environ.get("FEATX_FAULT", "{}"))
CALLS = ("pwrite", "fdatasync", "fsync", "posix_fallocate", "ftruncate", "replace", "unlink")
REAL = {name: getattr(os, name) for name in CALLS if hasattr(os, name)}


def slow(real, data):
    time.sleep(FAULT["seconds"])


def held(real, data):
    """Decode nothing until a file is there."""
    while not Path(FAULT["until"]).exists():
        time.sleep(0.01)


def guilty(real, data):
    """What follows the end of an image is ignored by decoders, but not by this one."""
    if data.endswith(b"crash"):
        os.abort()
    if data.endswith(b"hang"):
        time.sleep(1000)


def break_decoder(fault):
    from featx import images

    real = images.decode_into

    def decode_into(data, *arguments, **options):
        fault(real, data)
        real(data, *arguments, **options)

    images.decode_into = decode_into


class Calls:
    """Counts calls, knows which phase each is of, and strikes at one of them."""

    def __init__(self):
        self.counts = {"plan": 0, "fill": 0, "seal": 0}
        self.rng = random.Random(FAULT.get("at", 0))
        self.unsynced = {}  # by inode: a descriptor, and what the writes since its last sync wrote over

    def wrap(self, name):
        def call(*arguments, **options):
            tune()
            frame, names = sys._getframe(1), set()
            while frame is not None:
                names.add(frame.f_code.co_name)
                frame = frame.f_back
            if not names & {"extract_with", "_fill"}:
                return REAL[name](*arguments, **options)  # not of an extraction
            phase = "seal" if "seal" in names else "plan" if "plan" in names else "fill"
            self.counts[phase] += 1
            if "log" in FAULT:
                with Path(FAULT["log"]).open("a") as log:
                    log.write(f"{phase}\n")
            if phase == FAULT.get("phase") and self.counts[phase] == FAULT["at"]:
                return STRIKES[FAULT["how"]](self, name, *arguments, **options)
            self.remember(name, *arguments)
            return REAL[name](*arguments, **options)

        return call

    def remember(self, name, *arguments):
        if name == "pwrite":
            fd, data, offset = arguments
            inode = os.fstat(fd).st_ino
            if inode not in self.unsynced:
                self.unsynced[inode] = os.dup(fd), []
            self.unsynced[inode][1].append((os.pread(fd, len(data), offset), offset))
        elif name in ("fdatasync", "fsync") and (inode := os.fstat(arguments[0]).st_ino) in self.unsynced:
            self.unsynced[inode][1].clear()

    def kill(self, name, *arguments, **options):
        os.kill(os.getpid(), signal.SIGKILL)

    def tear(self, name, *arguments, **options):
        """Killed in the middle of a write, or right after another call."""
        if name == "pwrite":
            fd, data, offset = arguments
            arguments = fd, data[: self.rng.randrange(len(data) + 1)], offset
        try:
            REAL[name](*arguments, **options)
        finally:  # there may have been nothing to unlink
            self.kill(name)

    def cut_power(self, name, *arguments, **options):
        """Any part of what was not synced is lost."""
        for fd, writes in self.unsynced.values():
            for before, offset in reversed(writes):
                if self.rng.random() < 0.5:
                    REAL["pwrite"](fd, before, offset)
        self.kill(name)

    def refuse(self, name, *arguments, **options):
        number = errno.EIO if name in ("fsync", "fdatasync") else errno.ENOSPC
        raise OSError(number, os.strerror(number))


STRIKES = {"kill": Calls.kill, "tear": Calls.tear, "power": Calls.cut_power, "refuse": Calls.refuse}


def tune():
    """Sync much oftener than every two seconds, so that a run of one second has something to keep."""
    if "sync" in FAULT and (partial := sys.modules.get("featx.store.partial")):
        partial.SYNC_SECONDS = FAULT["sync"]


def dawdle(what):
    """Be busy for a long time in ``what``: in Python, or in native code that no signal interrupts."""
    if what == "listing":
        real = os.scandir

        def scandir(path="."):
            if str(path).endswith("data"):
                say()
                time.sleep(1000)
            return real(path)

        os.scandir = scandir
        return

    import featx.runtimes

    def runtime(*arguments, **options):
        say()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 400_000_000)
        raise AssertionError("nobody waits so long")

    featx.runtimes.runtime = runtime


def say():
    """Tell the test, on stdout, that the moment has come."""
    os.write(1, b"now\n")


if any("featx.batches.worker:serve" in argument for argument in sys.orig_argv):
    if FAULT.get("decoder"):
        break_decoder({"slow": slow, "held": held, "guilty": guilty}[FAULT["decoder"]])
elif any("featx.cli" in argument for argument in sys.orig_argv):
    if "dawdle" in FAULT:
        dawdle(FAULT["dawdle"])
    if FAULT:
        calls = Calls()
        for name in REAL:
            setattr(os, name, calls.wrap(name))
