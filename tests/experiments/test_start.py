"""What the second start of a study costs."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import transferability

SCRIPT = Path(transferability.__file__)

COUNTED = f"""
    import atexit, collections, json, runpy, sys
    from pathlib import Path

    import jax

    events = collections.Counter()
    jax.monitoring.register_event_listener(lambda name, **_: events.update([name]))
    atexit.register(lambda: Path("events.json").write_text(json.dumps(events)))
    sys.argv[0] = {str(SCRIPT)!r}
    sys.path.insert(0, {str(SCRIPT.parent)!r})
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_the_second_start_of_the_study_finds_every_program_compiled(tiny, tmp_path):
    environment = os.environ | {"CNNJAX_CACHE": str(tmp_path / "cache")}
    flags = ["--smoke", "--dataset", f"npz:{tiny}", "--network", "lenet5", "--out", "out"]

    def start() -> tuple[int, int, bytes]:
        """How many programs were asked for, how many of them were compiled before, the results."""
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(COUNTED), *flags],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
        )
        events = json.loads((tmp_path / "events.json").read_text())
        named = "/jax/compilation_cache/"
        figure = (tmp_path / "out" / "figure.svg").read_bytes()
        asked = events[f"{named}compile_requests_use_cache"]
        return asked, events.get(f"{named}cache_hits", 0), figure

    asked, before, figure = start()
    assert asked > before
    shutil.rmtree(tmp_path / "out")
    assert start() == (asked, asked, figure)
