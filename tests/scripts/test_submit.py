"""A study's runs as jobs: submitit's own local executor on a study that is done in no time, and the
commands that SLURM would be given, by an sbatch that keeps what it gets."""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import submit
from submit import Config, run

from cnnjax.errors import CnnjaxError

MANUAL = Path(submit.__file__).parents[1] / "docs" / "cluster.md"

TOY = """
    # A study by the contract of --list --json and --only alone: two bases, and a run on top.
    # A file BREAKS-NAME makes that run fail, a file KILLS-NAME has it killed.
    import hashlib, json, os, sys
    from pathlib import Path

    NEEDS = {"baseA": [], "baseB": [], "top": ["baseA", "baseB"]}
    out = Path(sys.argv[sys.argv.index("--out") + 1])

    def digest(value):
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def done(name):
        return (out / "runs" / name / "result.json").exists()

    if "--bad" in sys.argv:
        sys.exit("error: --bad is no flag of this study; choose another")
    if "--list" in sys.argv:
        assert "--json" in sys.argv
        runs = [
            {
                "name": name,
                "needs": needs,
                "level": 1 if needs else 0,
                "state": "finished" if done(name) else "missing",
                "identity": f"identity of {name}",
            }
            for name, needs in NEEDS.items()
            if name == "baseA" or "--one" not in sys.argv
        ]
        print(json.dumps({"format": 1, "study": "toy", "out": str(out), "runs": runs}))
        sys.exit()
    name = sys.argv[sys.argv.index("--only") + 1]
    assert all(map(done, NEEDS[name]))
    print(f"{name} is at work")
    if Path(f"BREAKS-{name}").exists():
        print("a warning", file=sys.stderr)
        sys.exit(f"error: run {name}: the training diverged")
    if Path(f"KILLS-{name}").exists():
        os.kill(os.getpid(), 9)
    result = {"row": {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}}
    result["identity"] = f"identity of {name}"
    result["digest"] = digest(result)
    (out / "runs" / name).mkdir(parents=True)
    (out / "runs" / name / "result.json").write_text(json.dumps(result))
"""


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    """The script of the study, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "toy.py"
    path.write_text(textwrap.dedent(TOY))
    return path


def configure(toy: Path, **changes: object) -> Config:
    return Config(toy, **({"flags": "--out out", "executor": "local", "at_once": 2} | changes))


def result(name: str) -> dict:
    return json.loads((Path("out") / "runs" / name / "result.json").read_text())


def unsuccessful(config: Config) -> None:
    with pytest.raises(SystemExit) as end:
        run(config)
    assert end.value.code == 1


def test_local_jobs_do_each_run_after_those_it_needs_and_a_second_start_does_nothing(toy, capsys):
    run(configure(toy, gpus=2))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 runs, 3 of them missing"
    assert sorted(lines[1:3]) == ["baseA: finished", "baseB: finished"]
    assert lines[3] == "top: finished"
    assert lines[4] == "all runs are finished: out/results.csv, out/figure.svg"
    assert len(list(Path("out-jobs").glob("*_0_log.out"))) == 3
    gpus = [result(name)["row"]["gpu"] for name in ("baseA", "baseB")]
    assert sorted(gpus) == ["0,1", "2,3"]  # those at work at the same time see each its own
    run(configure(toy))
    assert capsys.readouterr().out.splitlines()[0] == "3 runs, 0 of them missing"
    assert len(list(Path("out-jobs").glob("*_0_log.out"))) == 3


def test_a_run_that_fails_is_named_with_its_reason_and_its_log_and_done_by_a_second_start(
    toy, capsys
):
    Path("BREAKS-baseA").touch()
    config = configure(toy, flags="--out out --one", logs=Path("elsewhere"))
    unsuccessful(config)
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.startswith("baseA")]
    assert line.startswith("baseA: failed: run baseA: the training diverged; log: ")
    assert Path("elsewhere").resolve() == Path(line.partition("log: ")[2]).parent
    assert "a warning" in Path(line.partition("log: ")[2]).read_text()
    assert said.endswith("1 of 1 runs are missing; the same command again goes on\n")
    Path("BREAKS-baseA").unlink()
    run(config)
    assert "baseA: finished" in capsys.readouterr().out


def test_a_job_that_is_killed_is_named_with_its_log(toy, capsys):
    Path("KILLS-baseA").touch()
    unsuccessful(configure(toy, flags="--out out --one"))
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.startswith("baseA")]
    assert line.startswith("baseA: failed: its job ")
    assert Path(line.partition("log: ")[2]).exists()


def test_debug_does_them_one_after_the_other_in_sight_and_stops_in_no_debugger(toy, capfd):
    run(configure(toy, executor="debug"))
    said = capfd.readouterr().out
    assert said.index("baseA is at work") < said.index("baseA: finished")
    assert said.index("baseA: finished") < said.index("baseB is at work")
    assert said.index("baseB: finished") < said.index("top is at work")


def test_what_needs_a_run_that_failed_is_not_begun_and_the_others_are(toy, capfd):
    Path("BREAKS-baseA").touch()
    unsuccessful(configure(toy, executor="debug"))
    said = capfd.readouterr().out
    assert "baseA: failed" in said
    assert "baseB: finished" in said
    assert "top: not begun, for it needs baseA\n" in said


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Callable[..., None]:
    """`programs(NAME=text)`: has the command NAME run that text of bash."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def make(**texts: str) -> None:
        for name, text in texts.items():
            (folder / name).write_text(f"#!/usr/bin/env bash\n{textwrap.dedent(text)}\n")
            (folder / name).chmod(0o755)

    return make


@pytest.fixture
def slurm(tmp_path, programs) -> Path:
    """A folder with all that sbatch has been given, one file a call."""
    folder = tmp_path / "given"
    folder.mkdir()
    texts = {
        "srun": """
            [[ "$1 $2 $4" == "--unbuffered --output --error" ]] && shift 5
            exec "$@" """,
        "sbatch": f"""
            [[ ! -e REFUSES ]] || {{ echo "sbatch: error: invalid partition" >&2; exit 1; }}
            id=$((100 + $(ls {folder} | wc -l)))
            cp "$1" {folder}/$id
            echo "Submitted batch job $id" """,
        "sacct": f"""
            echo "JobID|State|NodeList"
            cat {tmp_path}/states 2>/dev/null || true""",
    }
    programs(**texts)
    return folder


def directives(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if line.startswith("#SBATCH --")]
    return dict(line.removeprefix("#SBATCH --").partition("=")[::2] for line in lines)


def test_slurm_is_given_an_array_for_each_level_that_waits_for_the_one_before(toy, slurm, capsys):
    resources = {"minutes": 90, "cpus": 4, "memory": 1.5, "gpus": 1, "partition": "gpu"}
    run(configure(toy, executor="slurm", slurm=("account=lab",), **resources))
    bases, top = (directives(slurm / name) for name in ("100", "101"))
    for given in (bases, top):
        assert given["job-name"] == "toy"
        assert given["time"] == "90"
        assert given["cpus-per-task"] == "4"
        assert given["mem"] == "1536MB"
        assert given["gpus-per-node"] == "1"
        assert given["partition"] == "gpu"
        assert given["account"] == "lab"
    assert bases["array"] == "0-1%2"
    assert "dependency" not in bases
    assert "array" not in top
    assert top["dependency"] == "afterok:100"
    assert top["kill-on-invalid-dep"] == "yes"
    said = capsys.readouterr().out.splitlines()
    assert said[1:3] == ["job 100: 2 runs from baseA", "job 101: 1 runs from top, after 100"]


def test_what_slurm_would_start_is_the_run_of_its_place_in_the_array(toy, slurm):
    run(configure(toy, executor="slurm"))
    place = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "100", "SLURM_ARRAY_TASK_ID": "1"}
    subprocess.run(["bash", slurm / "100"], check=True, env=os.environ | place, capture_output=True)
    assert result("baseB")
    assert not Path("out/runs/baseA").exists()


def test_what_is_still_queued_is_not_submitted_again_and_what_failed_is(toy, slurm, capsys):
    run(configure(toy, executor="slurm"))
    Path("states").write_text("100_0|FAILED|\n100_1|RUNNING|node1\n101|CANCELLED by 0|\n")
    capsys.readouterr()
    run(configure(toy, executor="slurm"))
    assert "1 of them are still queued" in capsys.readouterr().out
    assert sorted(path.name for path in slurm.iterdir()) == ["100", "101", "102", "103"]
    assert directives(slurm / "103")["dependency"] == "afterok:100:102"


def test_what_sbatch_says_against_the_jobs_is_one_line(toy, slurm):
    Path("REFUSES").touch()
    with pytest.raises(CnnjaxError, match="sbatch refuses the jobs: sbatch: error: invalid part"):
        run(configure(toy, executor="slurm"))


def test_without_slurm_it_says_where_to_submit_from(toy, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CnnjaxError, match="there is no sbatch here; submit from a machine of a"):
        run(configure(toy, executor="slurm"))


def test_without_submitit_it_says_first_what_to_install(toy, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(CnnjaxError, match=r"pip install -e '\.\[cluster\]'$"):
        run(configure(toy))
    assert capsys.readouterr().out == ""


def test_what_the_study_says_against_its_flags_is_passed_on(toy):
    with pytest.raises(CnnjaxError, match=r"^toy\.py: --bad is no flag of this study; choose"):
        run(configure(toy, flags="--out out --bad"))


@pytest.mark.parametrize("text", ["print('hello')", "print('{}')", "print('{\"format\": 2}')"])
def test_a_script_that_is_no_study_of_this_release_is_refused(toy, text):
    toy.write_text(text)
    with pytest.raises(CnnjaxError, match=r"gives no plan of format 1; give an experiment of"):
        run(configure(toy))


@pytest.mark.parametrize("option", ["account", "=lab"])
def test_an_option_of_sbatch_without_a_value_is_refused(toy, option):
    with pytest.raises(CnnjaxError, match="give KEY=VALUE"):
        run(configure(toy, slurm=(option,)))


def test_the_batch_script_of_the_manual_does_the_study_level_by_level(toy, programs, tmp_path):
    (script,) = re.findall(r"```bash\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    (tmp_path / "study.sbatch").write_text(script)
    programs(
        python=f'exec {sys.executable} "$@"',
        sbatch="""
            echo "$*" >>calls
            for word in "$@"; do
                if [[ $word == --array=0-* ]]; then last=${word#--array=0-}; fi
            done
            while [[ $1 == --* ]]; do shift; done
            for ((task = 0; task <= last; task++)); do SLURM_ARRAY_TASK_ID=$task bash "$@" >&2; done
            echo "$((99 + $(wc -l <calls)));cluster" """,
    )

    def start() -> str:
        command = ["bash", "study.sbatch", "toy.py", "--out", "out"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert start() == "job 100: 2 runs of level 0\njob 101: 1 runs of level 1\n"
    assert all(result(name) for name in ("baseA", "baseB", "top"))
    first, second = Path("calls").read_text().splitlines()
    assert first.startswith("--parsable --array=0-1 study.sbatch ")
    assert second.startswith(
        "--parsable --array=0-0 --dependency=afterok:100 --kill-on-invalid-dep=yes study.sbatch "
    )
    assert start() == ""
