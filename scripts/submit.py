"""Gives the runs of a study to a cluster, each as a job of its own, through submitit.

    python scripts/submit.py experiments/transferability.py --partition gpu --gpus 1 --minutes 30
    python scripts/submit.py experiments/dropout.py --flags="--seeds 3 --out /shared/dropout"
    python scripts/submit.py experiments/optimizers.py --executor local --at-once 2

A job is `python EXPERIMENT FLAGS --only NAME`, in this folder and with this Python; what is
finished is left alone, what is half done goes on where it was, and the last job draws the figure.
On SLURM, runs of one level of the plan are one array, which begins when those it needs are done.
Jobs that are still queued are not submitted twice, so that the same command again submits what is
missing. Runs that failed are named with the path of their log.

Needs the extra `cluster` (pip install -e '.[cluster]'), and on a cluster a folder that all its
nodes see: docs/cluster.md.
"""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from submit_jobs import Resources, Work, run_here, submit_to_slurm, submitit_here, wait_for

from cnnjax.command import POSITIVE, at_least, check_numbers, main, unset
from cnnjax.errors import CnnjaxError
from cnnjax.studies.listing import FORMAT


@dataclass(frozen=True)
class Config:
    experiment: Annotated[Path, tyro.conf.Positional]
    """The script of the study, e.g. experiments/dropout.py."""
    flags: Annotated[str, unset("FLAGS", "none")] = ""
    """Flags of the study, behind an equals sign: --flags="--seeds 3 --out /shared/dropout"."""
    executor: Literal["slurm", "local", "debug"] = "slurm"
    """slurm; local: processes of this machine; debug: in this process, one after the other. The
    last two wait for the jobs, and end with status 1 where one failed."""
    follow: bool = False
    """On slurm: wait for the jobs too."""
    at_once: Annotated[int | None, unset("INT", "slurm: all; local: by the cores and --cpus")] = (
        None
    )
    """At most so many jobs at the same time; on slurm, of each array."""
    minutes: int = 60
    """After which a job is ended; the same command again has it go on."""
    cpus: int = 2
    """Cores of each job, for slurm to reserve."""
    memory: float = 8
    """GB of each job, for slurm to reserve."""
    gpus: int = 0
    """GPUs of each job; 0: it sees none."""
    partition: Annotated[str | None, unset("NAME", "slurm's own")] = None
    """On slurm: where the jobs are queued."""
    slurm: Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE ...")] = ()
    """Further options of sbatch: account=lab qos=short."""
    logs: Annotated[Path | None, unset("PATH", "beside the folder of the study: OUT-jobs")] = None
    """Where the jobs and what they print go."""


def run(config: Config) -> None:
    """Reads the plan, submits what is missing of it, and says what became of it."""
    check_numbers(
        config,
        at_once=at_least(1),
        minutes=at_least(1),
        cpus=at_least(1),
        memory=POSITIVE,
        gpus=at_least(0),
    )
    options = [option.partition("=") for option in config.slurm]
    if wrong := [key for key, equals, _ in options if not (key and equals)]:
        raise CnnjaxError(f"--slurm {wrong[0]!r} is no option; give KEY=VALUE, e.g. account=lab")
    submitit_here()  # reading the plan takes seconds
    command = [sys.executable, str(config.experiment.resolve()), *shlex.split(config.flags)]
    plan = read_plan(command)
    out = Path(plan["out"])
    work = Work(
        plan["study"],
        command,
        {run["name"]: run for run in plan["runs"]},
        out,
        (config.logs or out.with_name(f"{out.name}-jobs")).resolve(),
    )
    resources = Resources(
        config.minutes,
        config.cpus,
        config.memory,
        config.gpus,
        config.partition,
        {key: value for key, _, value in options},
        config.at_once,
    )
    missing = work.missing()
    print(f"{len(plan['runs'])} runs, {len(missing)} of them missing", flush=True)
    if missing and config.executor == "slurm":
        jobs = submit_to_slurm(work, resources)
        if not config.follow:
            print("the same command again submits what is missing; with --follow it waits for it")
            return
        wait_for(work, jobs)
    elif missing:
        run_here(work, resources, debug=config.executor == "debug")
    if left := work.missing():
        print(
            f"{len(left)} of {len(plan['runs'])} runs are missing; the same command again goes on"
        )
        sys.exit(1)
    print(f"all runs are finished: {out / 'results.csv'}, {out / 'figure.svg'}")


def read_plan(command: list[str]) -> dict:
    """The plan of a study, as its --list --json prints it.

    Args:
      command: the words of the study's own.

    Raises:
      CnnjaxError: what the study says against its flags, or it is none.
    """
    done = subprocess.run([*command, "--list", "--json"], capture_output=True, text=True)
    said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
    if done.returncode:
        raise CnnjaxError(f"{Path(command[1]).name}: {said[-1].removeprefix('error: ')}")
    try:
        plan = json.loads(done.stdout)
        if plan["format"] == FORMAT:
            return plan
    except (ValueError, KeyError, TypeError):
        pass
    raise CnnjaxError(
        f"{command[1]} --list --json gives no plan of format {FORMAT}; give an experiment of this "
        "release"
    )


if __name__ == "__main__":
    main(Config, run, __doc__, resumes=True)
