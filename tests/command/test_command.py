"""What every command line does alike."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from cnnjax import command
from cnnjax.errors import CnnjaxError


@dataclass(frozen=True)
class Config:
    size: int = 3
    """How large."""
    list: bool = False
    """Print the plan."""


def call(monkeypatch, run, *arguments: str) -> int:
    """The exit status of a command line that does `run`."""
    monkeypatch.setattr(sys, "argv", ["study.py", *arguments])
    try:
        command.main(Config, run, "What it is.\n\nIts arms:\n  one  the first")
    except SystemExit as end:
        return end.code
    return 0


def failing(error: BaseException):
    def run(config: Config) -> None:
        raise error

    return run


def test_flags_become_the_configuration(monkeypatch):
    seen = []
    assert call(monkeypatch, seen.append, "--size", "7", "--list") == 0
    assert seen == [Config(size=7, list=True)]


def test_a_switch_is_a_plain_flag(monkeypatch, capsys):
    assert call(monkeypatch, lambda config: None, "--help") == 0
    shown = capsys.readouterr().out
    assert "--list " in shown
    assert "--no-list" not in shown


def test_help_is_a_page_that_begins_with_what_it_is(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert call(monkeypatch, lambda config: None, "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        "What it is.\n\nIts arms:\n  one  the first\n\nCompiled programs are kept"
    )
    assert "--no-compile-cache keeps and uses none.\n\nusage: study.py" in " ".join(
        shown.split(" ")
    )
    assert "How large. (default: 3)" in shown


@pytest.mark.parametrize("value", [0, -1.5, float("nan"), float("inf")])
def test_a_number_that_cannot_be_is_refused_by_the_name_of_its_flag(value):
    config = SimpleNamespace(batch_size=1, learning_rate=value)
    numbers = {"batch_size": command.at_least(1), "learning_rate": command.POSITIVE}
    with pytest.raises(
        CnnjaxError, match=f"--learning-rate is {value}, which cannot be; give more"
    ):
        command.check_numbers(config, **numbers)


@pytest.mark.parametrize("value", [10**30, 1e30, 2**31])
def test_a_number_that_is_too_large_is_refused_by_the_name_of_its_flag(value):
    config = SimpleNamespace(sizes=(2**31 - 1, value))
    with pytest.raises(
        CnnjaxError, match=r"--sizes is .*, which is too large; give at most 2147483647"
    ):
        command.check_numbers(config, sizes=command.at_least(1))


def test_a_users_mistake_is_one_line_and_status_2(monkeypatch, capsys):
    error = CnnjaxError("there is no network 'x'; there are a, b; choose one")
    assert call(monkeypatch, failing(error)) == 2
    out, err = capsys.readouterr()
    assert err == "error: there is no network 'x'; there are a, b; choose one\n"
    assert out == ""


@pytest.mark.parametrize("reason", ["", "Unable to allocate 109. TiB"])
def test_too_little_memory_is_one_line_and_status_2(monkeypatch, capsys, reason):
    assert call(monkeypatch, failing(MemoryError(reason))) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: there is not enough memory for this")
    assert reason in err
    assert err.count("\n") == 1


def test_too_little_memory_of_a_device_is_one_line_and_status_2(monkeypatch, capsys):
    def run(config):
        jax.block_until_ready(jax.jit(lambda: jnp.zeros((2**24, 2**24)))())

    assert call(monkeypatch, run) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: there is not enough memory for this (RESOURCE_EXHAUSTED")
    assert err.count("\n") == 1


def test_another_error_of_jax_is_not_hidden(monkeypatch):
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        call(monkeypatch, failing(jax.errors.JaxRuntimeError("INTERNAL: what XLA did wrong")))


STOPPED = {
    "a loop": ("interrupt()\nwhile True: pass", True),
    "a library's own try": (
        "try: interrupt()\nexcept BaseException: pass\nwhile True: pass",
        True,
    ),
    "where exceptions are lost": (
        "gc.callbacks.append(interrupt)\nwhile True: gc.collect()",
        True,
    ),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)\nwhile True: pass", False),
}
"""What a command does that is stopped, and whether it resumes."""
FORKS = """
import gc, json, os, signal, sys, tempfile
from dataclasses import make_dataclass
from cnnjax.command import main

def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)

def ended(body, resumes):
    with tempfile.TemporaryFile() as said:
        if (child := os.fork()) == 0:
            os.dup2(said.fileno(), 2)
            run = lambda config: exec(body, globals())
            main(make_dataclass("Config", [("n", int, 1)]), run, "What it is.", resumes=resumes)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return status, said.read().decode()

stopped = json.loads(sys.argv.pop())
print(json.dumps({name: ended(*what) for name, what in stopped.items()}))
"""


@pytest.fixture(scope="module")
def stopped():
    """Exit status and standard error of each, forked from one process that has imported JAX."""
    done = subprocess.run(
        [sys.executable, "-c", FORKS, json.dumps(STOPPED)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where JAX warns of forks
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("where", [name for name in STOPPED if name != "SIGTERM"])
def test_ctrl_c_says_how_to_go_on_and_is_status_130_wherever_it_strikes(stopped, where):
    assert stopped[where] == [130, "\nstopped; the same command goes on where it was\n"]


def test_sigterm_is_status_143_and_a_command_that_does_not_resume_does_not_say_so(stopped):
    assert stopped["SIGTERM"] == [143, "\nstopped\n"]


def test_after_a_command_ctrl_c_is_what_it_was(monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    during = []
    call(monkeypatch, lambda config: during.append(signal.getsignal(signal.SIGINT)))
    assert during != [before]
    assert signal.getsignal(signal.SIGINT) == before


def test_a_path_that_the_system_refuses_is_one_line_and_status_2(monkeypatch, capsys, tmp_path):
    long = tmp_path / ("a" * 500)
    assert call(monkeypatch, lambda config: long.stat()) == 2
    said = capsys.readouterr().err
    assert said == f"error: cannot use '{long}' (File name too long); check the path\n"


@pytest.mark.parametrize("mistake", [ZeroDivisionError(), OSError(5, "of no path")])
def test_our_own_mistakes_keep_their_traceback(monkeypatch, mistake):
    with pytest.raises(type(mistake)):
        call(monkeypatch, failing(mistake))


@pytest.mark.parametrize("arguments", [["--sise", "7"], ["--size", "big"], ["--size"], ["x"]])
def test_a_flag_that_cannot_be_is_status_2(monkeypatch, capsys, arguments):
    assert call(monkeypatch, lambda config: None, *arguments) == 2
    assert "size" in capsys.readouterr().err or arguments == ["x"]


def test_a_reader_that_has_had_enough_gets_no_traceback():
    code = (
        "import sys; sys.argv = ['study.py', '--help']\n"
        "from dataclasses import make_dataclass\n"
        "from cnnjax.command import main\n"
        "main(make_dataclass('Config', [('n', int, 1)]), print, 'word ' * 50_000)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 1


@pytest.mark.parametrize("width", [40, 80])
def test_a_page_fills_its_lines_and_keeps_its_paragraphs_and_lists(width):
    text = "Title\n\nA long " + "sentence " * 30 + "\nthat goes on:\n  one    " + "words " * 20
    page = command.page(text + "\n  longer the last\n\nThe end.", width)
    lines = page.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[:2] == ["Title", ""]
    assert lines[-3:] == ["  longer the last", "", "The end."]
    (first,) = [i for i, line in enumerate(lines) if line.startswith("  one ")]
    assert lines[first + 1].startswith("         words")  # hangs below its own text
    assert lines[first - 1].endswith("on:")


def test_a_command_in_a_page_goes_on_a_little_further_in():
    text = "Do:\n  python scripts/train.py --network lenet5"
    assert command.page(text, 30) == "Do:\n  python scripts/train.py\n      --network lenet5"
