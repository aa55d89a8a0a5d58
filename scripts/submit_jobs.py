"""The jobs of scripts/submit.py: what they do, in which order, and what became of them."""

import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from cnnjax.errors import CnnjaxError
from cnnjax.studies.folders import write_text
from cnnjax.studies.listing import levels
from cnnjax.studies.runs import read_result

if TYPE_CHECKING:
    from submitit import Job

RECORD = "submitted.json"
QUEUED = ("PENDING", "RUNNING", "REQUEUED", "COMPLETING", "CONFIGURING", "SUSPENDED", "PREEMPTED")
"""States of a job in SLURM that has yet to do something."""


class Resources(NamedTuple):
    """What each job is given; see the flags of scripts/submit.py."""

    minutes: int
    cpus: int
    memory: float
    gpus: int
    partition: str | None
    options: Mapping[str, str]
    at_once: int | None


@dataclass(frozen=True)
class Work:
    """A study and where its jobs leave what they print.

    Attributes:
      study: its name.
      command: its words.
      runs: by name, as `--list --json` gives them.
      out: its folder.
      logs: of the jobs.
    """

    study: str
    command: list[str]
    runs: Mapping[str, Mapping]
    out: Path
    logs: Path

    def finished(self, name: str) -> bool:
        """Whether that run is finished by now."""
        result = read_result(self.out / "runs" / name) or {}
        return result.get("identity") == self.runs[name]["identity"]

    def missing(self) -> list[str]:
        """The runs that are not, each after those it needs."""
        return [name for name in self.runs if not self.finished(name)]

    def needs(self, missing: Iterable[str]) -> dict[str, list[str]]:
        """By missing run, what it needs that is missing too."""
        missing = list(missing)
        return {n: [need for need in self.runs[n]["needs"] if need in missing] for n in missing}

    def job(self, name: str) -> object:
        """What submitit is to call."""
        return submitit_here().helpers.CommandFunction(
            [*self.command, "--only", name], cwd=str(Path.cwd())
        )

    def report(self, name: str, job: "Job") -> bool:
        """Says what became of a run whose job has ended, and returns whether it is finished."""
        if self.finished(name):
            print(f"{name}: finished", flush=True)
            return True
        log = job.paths.stderr
        text = log.read_text(errors="replace") if log.exists() else ""
        said = [line for line in text.splitlines() if line.startswith("error: ")]
        why = said[-1].removeprefix("error: ") if said else f"its job {job.job_id} came to no end"
        print(f"{name}: failed: {why}; log: {log}", flush=True)
        return False


def run_here(work: Work, resources: Resources, debug: bool) -> None:
    """Does the missing runs as processes of this machine, or in this one, and waits for them.

    A run begins when those it needs are finished; what needs one that failed is left out.
    """
    submitit = submitit_here()
    cores = max(1, (os.cpu_count() or 1) // resources.cpus)
    at_once = 1 if debug else resources.at_once or cores
    kind = submitit.DebugExecutor if debug else submitit.LocalExecutor
    missing = work.missing()
    executor, needs = kind(work.logs), work.needs(missing)
    free, running, pending = list(range(at_once)), {}, set(missing)
    while needs or running:
        for name, (job, slot) in list(running.items()):
            if debug:
                job.exception()  # which executes it; `done` would stop in a debugger where it fails
            elif not job.done():
                continue
            del running[name]
            free.append(slot)
            if work.report(name, job):
                pending.remove(name)
        for name in [name for name, needed in needs.items() if not pending.intersection(needed)]:
            if free:
                slot, _ = free.pop(0), needs.pop(name)
                gpus = range(slot * resources.gpus, (slot + 1) * resources.gpus)
                executor.update_parameters(
                    timeout_min=resources.minutes,
                    gpus_per_node=resources.gpus,
                    visible_gpus=list(gpus),
                )
                running[name] = executor.submit(work.job(name)), slot
        if needs and not running:
            for name, needed in needs.items():
                lost = [need for need in needed if need in pending]
                print(f"{name}: not begun, for it needs {' and '.join(lost)}", flush=True)
            return
        time.sleep(0.2)


def submit_to_slurm(work: Work, resources: Resources) -> dict[str, "Job"]:
    """Submits an array of jobs for each level of the missing runs, to begin when those it needs
    have ended well; SLURM cancels it if they do not. What is still queued is not submitted again.

    Returns:
      By run, its job, those that were queued before included.

    Raises:
      CnnjaxError: there is no SLURM here, or it refuses.
    """
    submitit = submitit_here()
    if lacking := [command for command in ("sbatch", "srun") if shutil.which(command) is None]:
        raise CnnjaxError(
            f"there is no {lacking[0]} here; submit from a machine of a SLURM cluster, or choose "
            "--executor local"
        )
    jobs = _still_queued(work)
    if jobs:
        print(f"{len(jobs)} of them are still queued", flush=True)
    needs = work.needs(work.missing())
    level = levels(needs)
    for wave in range(max(level.values()) + 1):
        names = [name for name in needs if level[name] == wave and name not in jobs]
        if not names:
            continue
        options = dict(resources.options)
        if after := sorted({_array(jobs[need]) for name in names for need in needs[name]}):
            options |= {"dependency": f"afterok:{':'.join(after)}", "kill-on-invalid-dep": "yes"}
        executor = submitit.SlurmExecutor(work.logs)
        given = {
            "job_name": work.study,
            "time": resources.minutes,
            "cpus_per_task": resources.cpus,
            "mem": f"{max(1, round(1024 * resources.memory))}MB",
            "gpus_per_node": resources.gpus or None,
            "partition": resources.partition,
            "array_parallelism": resources.at_once or len(names),
            "additional_parameters": options,
        }
        executor.update_parameters(**{key: x for key, x in given.items() if x is not None})
        try:
            with executor.batch():
                new = [executor.submit(work.job(name)) for name in names]
        except (
            submitit.core.utils.FailedJobError,
            submitit.core.utils.FailedSubmissionError,
        ) as error:
            said = str(error).strip().splitlines() or ["no reason"]
            raise CnnjaxError(f"sbatch refuses the jobs: {said[-1]}") from None
        jobs |= dict(zip(names, new, strict=True))
        # As soon as they are queued: whatever happens now, the same command will know.
        record = {name: job.job_id for name, job in jobs.items()}
        write_text(work.logs / RECORD, json.dumps(record, indent=1) + "\n")
        then = f", after {' and '.join(after)}" if after else ""
        print(f"job {_array(new[0])}: {len(names)} runs from {names[0]}{then}", flush=True)
    return jobs


def wait_for(work: Work, jobs: Mapping[str, "Job"], seconds: float = 5) -> None:
    """Waits until all jobs have ended, and says of each what became of it."""
    waiting = dict(jobs)
    while waiting:
        for name, job in list(waiting.items()):
            if work.finished(name) or job.done():
                work.report(name, waiting.pop(name))
        if waiting:
            time.sleep(seconds)


def _still_queued(work: Work) -> dict[str, "Job"]:
    """The jobs that an earlier start submitted and that have yet to do something."""
    try:
        record = json.loads((work.logs / RECORD).read_text())
        jobs = {
            name: submitit_here().SlurmJob(folder=work.logs, job_id=str(record[name]))
            for name in work.missing()
            if name in record
        }
    except (FileNotFoundError, ValueError, TypeError):
        return {}
    if not jobs:
        return {}
    watcher = next(iter(jobs.values())).watcher
    watcher.update()
    state = {name: watcher.get_state(job.job_id, mode="cache") for name, job in jobs.items()}
    return {name: job for name, job in jobs.items() if state[name].split()[0] in QUEUED}


def _array(job: "Job") -> str:
    return job.job_id.partition("_")[0]


def submitit_here() -> ModuleType:
    """Submitit.

    Raises:
      CnnjaxError: it is not installed.
    """
    # It would set up logging anew, for which Python closes the handlers that others have opened.
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")
    try:
        import submitit
        import submitit.helpers
    except ImportError:
        raise CnnjaxError("submitit is not there; pip install -e '.[cluster]'") from None
    return submitit
