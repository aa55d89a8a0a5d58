"""The processes of one training: what they tell each other, and how they end together.

What they tell each other goes through the key-value store of JAX's coordination service, which is
that of process 0; values are small, and no device takes part.
"""

import itertools
import json
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import NoReturn, TypeVar

import jax
from jax._src import distributed  # its client has no public name

from cnnjax.errors import CnnjaxError
from cnnjax.training.last_words import Witness, gone

T = TypeVar("T")
_END, _TOLD = "cnnjax/end", "cnnjax/told"
_FAREWELL_SECONDS = 5.0  # for the others to hear why a process ends


class Processes:
    """Those of one training. By themselves, as `ALONE`, they are this one, and nobody is told."""

    index = 0
    count = 1

    @property
    def primary(self) -> bool:
        """Whether this one is the first: the one that reads, writes and talks."""
        return self.index == 0

    def tell(self, value: T) -> T:
        """What the primary gives, on all. To be called by all, in the same order.

        Args:
          value: of JSON; only the primary's matters.
        """
        return value

    def collect(self, value: T) -> list[T]:
        """What each gives, in their order. To be called by all, in the same order.

        Args:
          value: of JSON.
        """
        return [value]

    def wait(self) -> None:
        """Until all are here, however long that takes. To be called by all, in the same order."""

    def agree(self, settings: Mapping[str, object]) -> None:
        """Checks that all have the same. To be called by all, in the same order.

        Raises:
          CnnjaxError: on all of them; names the setting.
        """


ALONE = Processes()
_current: ContextVar[Processes] = ContextVar("processes", default=ALONE)


def current() -> Processes:
    """The processes of this training: `ALONE`, unless it has joined others."""
    return _current.get()


class Joined(Processes):
    """Those that `jax.distributed.initialize` has brought together."""

    def __init__(self, witness: Witness) -> None:
        state = distributed.global_state
        self.index, self.count, self._client = state.process_id, state.num_processes, state.client
        self._witness, self._rounds = witness, itertools.count()
        self._read: list[str] = []  # by all, when all have come to the next `collect`
        self._ending = threading.Lock()  # of the two threads, the first to end the process
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def tell(self, value: T) -> T:
        key = f"cnnjax/tell/{next(self._rounds)}"
        if self.primary:
            self._client.key_value_set(key, json.dumps(value))
            self._read.append(key)
            return value
        return json.loads(self._get(key))

    def collect(self, value: T) -> list[T]:
        place, text = f"cnnjax/collect/{next(self._rounds)}", json.dumps(value, default=str)
        if self.primary:
            rest = (self._get(f"{place}/{index}") for index in range(1, self.count))
            everything = f"[{','.join([text, *rest])}]"
            self._client.key_value_set(f"{place}/all", everything)
            for key in self._read:
                self._client.key_value_delete(key)
            self._read = [f"{place}/"]
        else:
            self._client.key_value_set(f"{place}/{self.index}", text)
            everything = self._get(f"{place}/all")
        return json.loads(everything)

    def wait(self) -> None:
        self.collect(None)

    def agree(self, settings: Mapping[str, object]) -> None:
        first, *others = self.collect(dict(settings))
        for index, theirs in enumerate(others, 1):
            for name in sorted(first.keys() | theirs):
                one, other = first.get(name), theirs.get(name)
                if one != other:
                    raise CnnjaxError(
                        f"the processes do not agree: {name} is {one} in process 0 and {other} in "
                        f"process {index}; start all of them with the same"
                    )

    def finish(self) -> None:
        """Waits for all, lest the end of one seem a failure, and parts from them."""
        self.wait()
        if self.primary:
            self._client.key_value_set(_END, "")
        self._listener.join()
        jax.distributed.shutdown()

    def fail(self, error: BaseException) -> NoReturn:
        """Ends this process, and all others with it. The interpreter's own way to the end would
        have it wait for them."""
        if _is_lost(error):
            time.sleep(_FAREWELL_SECONDS)  # whoever knows more ends this process meanwhile
            who = f"process {1 - self.index}" if self.count == 2 else "another process"
            error = CnnjaxError(gone(who))
        if not self._ending.acquire(blocking=False):
            threading.Event().wait()  # the other thread is about to end this process
        reason = " ".join(str(error).split()) or type(error).__name__
        with suppress(jax.errors.JaxRuntimeError):  # who cannot be reached hears nothing
            with suppress(jax.errors.JaxRuntimeError):  # another has failed already
                self._client.key_value_set(_END, f"process {self.index}: {reason}")
            self._farewell()
        if isinstance(error, CnnjaxError | MemoryError):
            self._leave(f"error: {reason}\n", 2)
        self._leave("".join(traceback.format_exception(error)), 1)

    def _leave(self, message: str, status: int) -> NoReturn:
        self._witness.dismiss(said=True)
        with suppress(RuntimeError):  # it is being written to at this moment
            sys.stdout.flush()
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), b"\x1b[?25h")  # the cursor, which a progress bar hides
        os.write(sys.stderr.fileno(), message.encode())
        os._exit(status)

    def _get(self, key: str) -> str:
        while True:
            try:
                return self._client.blocking_key_value_get(key, 1000)  # so that Ctrl-C is heard
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise

    def _listen(self) -> None:
        """Ends this process when another fails: it may be waiting for that one in a step."""
        try:
            end = self._get(_END)
        except jax.errors.JaxRuntimeError:  # process 0 is gone: XLA ends this one
            return
        if end and self._ending.acquire(blocking=False):
            with suppress(jax.errors.JaxRuntimeError):
                self._farewell()
            self._leave(f"error: {end}\n", 2)

    def _farewell(self) -> None:
        """Counts as told; process 0, whom the others hear it from, lets all be told first."""
        told = self._client.key_value_increment(_TOLD, 1)
        until = time.monotonic() + _FAREWELL_SECONDS
        while self.primary and told < self.count and time.monotonic() < until:
            time.sleep(0.05)
            told = self._client.key_value_increment(_TOLD, 0)


@contextmanager
def among(processes: Processes) -> Iterator[None]:
    """Inside, these are the processes of the training."""
    token = _current.set(processes)
    try:
        yield
    finally:
        _current.reset(token)


def _is_lost(error: BaseException) -> bool:
    """Whether it tells of a connection to another process."""
    kinds = (ValueError, jax.errors.JaxRuntimeError)  # what was computed in the background: the one
    return isinstance(error, kinds) and re.search(r"Gloo|NCCL|UNAVAILABLE", str(error)) is not None
