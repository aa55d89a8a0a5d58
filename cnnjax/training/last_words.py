"""What XLA says when it ends a process, in one line.

XLA ends a process of several at once where the others cannot be reached any more: it writes pages
to standard error and aborts, and no code of the process is asked. So standard error goes through a
process of its own, this file run as a program. It passes on what comes, but keeps back what XLA's
coordination service says; when the process has ended, one line stands for it. Needs nothing but
the standard library, for it starts beside every process.
"""

import os
import re
import select
import signal
import subprocess
import sys
from contextlib import suppress

SAID = b"\x04said\n"
"""Written by a process that ends itself and has said why."""

_LOG = re.compile(rb"^[IWEF]\d{4} [\d:.]+ +\d+ (coordination_\w+|client)\.", re.MULTILINE)
_WARNING = re.compile(_LOG.pattern.replace(b"IWEF", b"IW") + rb".*\n", re.MULTILINE)
_FATAL = re.compile(rb"^F\d{4} [\d:.]+ +\d+ client\.", re.MULTILINE)
_SECONDS = 2.0  # what is kept back and turns out not to be the end is passed on after so many


class Witness:
    """Such a process, at work on the standard error of this one."""

    def __init__(self) -> None:
        self._own = os.dup(2)
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=reading, stderr=self._own
        )
        os.close(reading)
        sys.stderr.flush()
        os.dup2(writing, 2, inheritable=True)
        os.close(writing)
        # Python's own messages need no witness: a line is there when it is written.
        self._stderr, sys.stderr = sys.stderr, os.fdopen(self._own, "w", 1, closefd=False)

    def dismiss(self, said: bool = False) -> None:
        """Standard error is as it was.

        Args:
          said: that this process ends, and has told why.
        """
        if said:
            os.write(2, SAID)
        sys.stderr.flush()
        sys.stderr = self._stderr
        os.dup2(self._own, 2)
        os.close(self._own)
        self._process.wait()


def summary(said: bytes) -> str | None:
    """One line for what XLA has written before it ended the process; None if it did not end it.

    >>> summary(b"E1122 02:37:09.4 79 coordination_service_agent.cc:289] Polled an error")
    >>> summary(
    ...     b"F1122 02:37:09.4 79 client.h:80] Terminating process because ... absl::Status: "
    ...     b"UNAVAILABLE: Failed to send RPC to coordination service. Either the leader task ..."
    ... )  # doctest: +ELLIPSIS
    'process 0 is gone: it has ended or been killed, or cannot be reached; start all ...'
    """
    if _FATAL.search(said) is None:
        return None
    text = said.decode(errors="replace")
    if "RegisterTask" in text:
        if "ALREADY_EXISTS" in text or "newer incarnation" in text:
            return (
                "another process has joined with the same --process; give each process its own, "
                "from 0 to --processes less 1"
            )
        if "INVALID_ARGUMENT" in text or "nexpected task" in text:
            return (
                "process 0 was started with a smaller --processes than this one; give all "
                "processes the same"
            )
        return (
            "the processes did not come together in time; start all of them, with the same "
            "--coordinator and --processes and each with its own --process, where they can reach "
            "the coordinator's port"
        )
    silent = r"stopped sending heartbeats\):\s+(\d+)|Task (\d+) heartbeat timeout"
    if found := re.search(silent, text):
        return gone(f"process {found[1] or found[2]}")
    if "Failed to send RPC to coordination service" in text or "/Heartbeat" in text:
        return gone("process 0")
    return gone("another process")


def gone(who: str) -> str:
    """What is to be said of a process that is there no more."""
    return (
        f"{who} is gone: it has ended or been killed, or cannot be reached; start all processes "
        "again: the same commands go on from the last checkpoint"
    )


def main() -> None:
    """Passes standard input on to standard error until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # its end is that of the process it serves
    kept = b""
    while True:
        ready, _, _ = select.select([0], [], [], _SECONDS if kept else None)
        data = os.read(0, 2**16) if ready else b""
        if ready and not data:
            break
        kept += data
        done = SAID in kept or _FATAL.search(kept) is not None
        if not done and (not ready or _LOG.search(kept) is None):
            _write(_WARNING.sub(b"", kept))
            kept = b""
    if SAID not in kept:
        line = summary(kept)
        _write(_WARNING.sub(b"", kept) if line is None else f"error: {line}\n".encode())


def _write(data: bytes) -> None:
    with suppress(OSError):  # nobody reads any more
        while data:
            data = data[os.write(2, data) :]


if __name__ == "__main__":
    main()
