import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "hosts_program.py"


@pytest.fixture(scope="session")
def start_processes() -> Iterator[Callable[..., list[subprocess.Popen]]]:
    """`start_processes(folder, (1, 2), **settings)`: processes of one training, with so many
    devices each, which are made of this processor. One alone joins no others. The first writes to
    `folder`."""
    started = []

    def start(
        folder: Path, devices: tuple[int, ...], *each: dict, **settings: object
    ) -> list[subprocess.Popen]:
        with socket.create_server(("", 0)) as free:
            coordinator = f"127.0.0.1:{free.getsockname()[1]}"
        processes = []
        for index, count in enumerate(devices):
            given = dict(settings, **(each[index] if each else {}))
            if len(devices) > 1:
                given |= {"coordinator": coordinator, "processes": len(devices), "process": index}
            forced = f"--xla_force_host_platform_device_count={count}"
            environment = os.environ | {
                "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {forced}",
                "JAX_PLATFORMS": "cpu",
            }
            # Only the first may write: the others are given a place that cannot be.
            out = folder if index == 0 else Path(os.devnull) / "nowhere"
            processes.append(
                subprocess.Popen(
                    [sys.executable, PROGRAM, out, json.dumps(given)],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        started.extend(processes)
        return processes

    yield start
    for process in started:
        process.kill()
        process.communicate()
