"""One training by several processes, on one machine or many: how they come together.

    with joined("10.0.0.1:1234", processes=2, process=0) as here:
        ...  # load the data, `fit`

Each process runs the same program with the same settings. The devices of all take part in every
step (`choose_devices`); each brings its part of every batch to its own devices. The first, process
0, is the primary: it alone reads and writes the folder of the training and talks to the user, and
what it reads or decides there it tells the others (`Processes.tell`). Where one process fails or
disappears, all end, each with one line that says why; started again, they go on from the last
checkpoint, as many or as few as there are then.

A study is not one such training but many runs, which are better taken one by one, each by a process
of its own: its command line does not join others.

Processes find each other by `jax.distributed.initialize`.
"""

import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cnnjax.errors import CnnjaxError
from cnnjax.training.last_words import Witness
from cnnjax.training.processes import ALONE, Joined, Processes, among

AUTO = "auto"
JOIN_SECONDS = 300
"""How long processes wait for each other at the start, as long as JAX does by default."""
HEARTBEAT_SECONDS = 60
"""A process that is silent for so long is gone."""


@contextmanager
def joined(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    join_seconds: int = JOIN_SECONDS,
    heartbeat_seconds: int = HEARTBEAT_SECONDS,
) -> Iterator[Processes]:
    """Joins the other processes of a training; `current` gives them inside.

    To be called before anything else of JAX: what devices there are is settled once. Where an
    exception leaves the inside, or another process fails or disappears, this process ends, with one
    line on standard error (an unforeseen exception with its traceback) and a status other than 0.

    Args:
      coordinator: HOST:PORT where process 0 listens, a free port there; or "auto": SLURM (srun),
        Open MPI up to release 4 (mpirun) or a Kubernetes job say all three. None, as the others:
        this process is alone.
      processes: how many.
      process: which of them this one is, 0 to `processes` - 1.
      join_seconds: how long to wait for each other.
      heartbeat_seconds: a process that is silent for so long is gone.

    Raises:
      CnnjaxError: only some of the three are given, or what cannot be; there is no such cluster;
        or the processes do not find each other in time, which XLA says in this one's place.
    """
    if coordinator is None and processes is None and process is None:
        yield ALONE
        return
    _check(coordinator, processes, process)
    # A SIGTERM is to end this process, and not to be noted for a later step.
    jax.config.update("jax_enable_preemption_service", False)
    witness = Witness()
    try:
        until = time.monotonic() + join_seconds
        if coordinator != AUTO:
            _reach(coordinator, process, until)
        with ThreadPoolExecutor(1) as thread:  # Ctrl-C is heard by the main one only
            joining = thread.submit(
                jax.distributed.initialize,
                *(() if coordinator == AUTO else (coordinator, processes, process)),
                cluster_detection_method=None if coordinator == AUTO else "deactivate",
                initialization_timeout=max(1, round(until - time.monotonic())),
                heartbeat_timeout_seconds=heartbeat_seconds,
            )
            while not joining.done():
                time.sleep(0.02)
            joining.result()
    except CnnjaxError:
        witness.dismiss()
        raise
    except Exception as error:  # ValueError, RuntimeError, and whatever Kubernetes' client raises
        witness.dismiss()
        said = " ".join(str(error).split())
        raise CnnjaxError(
            f"the other processes cannot be joined ({said}); start this one by srun, mpirun or as "
            "an indexed Kubernetes job for --coordinator auto, or give --coordinator HOST:PORT, "
            "--processes and --process"
        ) from None
    here = Joined(witness)
    try:
        with among(here):
            here.agree({"--processes": here.count, "the release of JAX": jax.__version__})
            _connect()
            yield here
        here.finish()
    except BaseException as error:
        here.fail(error)
    witness.dismiss()


def _connect() -> None:
    """Has processors of all processes connect to each other, by a first sum.

    Gloo prints a line about it on standard output, which is the program's own; that line is left
    out, whatever else is printed meanwhile is not.
    """
    if jax.default_backend() != "cpu":
        return
    devices = np.asarray(jax.devices())  # not as many in each process, maybe
    apart = NamedSharding(Mesh(devices, "devices"), PartitionSpec("devices"))
    ones = np.ones(len(devices))
    one_on_each = jax.make_array_from_callback(ones.shape, apart, ones.__getitem__)
    sys.stdout.flush()
    output = os.dup(1)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 1)
        try:
            jax.block_until_ready(jax.jit(jnp.sum)(one_on_each))
        finally:
            os.dup2(output, 1)
            os.close(output)
            caught.seek(0)
            rest = [line for line in caught if not line.startswith(b"[Gloo] Rank ")]
            os.write(1, b"".join(rest))


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """
    Raises:
      CnnjaxError: see `joined`.
    """
    given = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [flag for flag, value in given.items() if value is None]
    if coordinator == AUTO:
        if len(missing) == 2:
            return
        raise CnnjaxError(
            "--coordinator auto finds --processes and --process by itself; leave them out"
        )
    if missing:
        there = " and ".join(flag for flag in given if flag not in missing)
        raise CnnjaxError(
            f"{there} without {' and '.join(missing)} says too little; give all three, or "
            "--coordinator auto alone"
        )
    if not 0 <= process < processes:
        raise CnnjaxError(
            f"--process is {process} of --processes {processes}; give each of them its own, 0 to "
            f"{max(processes - 1, 0)}"
        )
    _address(coordinator)


def _address(coordinator: str) -> tuple[str, int]:
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
        raise CnnjaxError(
            f"--coordinator {coordinator} is no address; give HOST:PORT, the host of process 0 and "
            "a free port there, such as 10.0.0.1:1234"
        )
    return host.strip("[]"), int(port)


def _reach(coordinator: str, process: int, until: float) -> None:
    """Sees beforehand whether it can work, because XLA would end this process."""
    host, port = _address(coordinator)
    if process == 0:
        try:
            socket.create_server(("", port), family=socket.AF_INET).close()
        except OSError as error:
            raise CnnjaxError(
                f"process 0 cannot listen on port {port} ({os.strerror(error.errno)}); choose "
                "another port for --coordinator, for all processes"
            ) from None
        return
    while True:
        try:
            socket.create_connection((host, port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > until:
                raise CnnjaxError(
                    f"nobody answers at the coordinator {coordinator} ({error.strerror or error}); "
                    "start process 0 there, and see that its port can be reached from here"
                ) from None
        time.sleep(0.2)
