"""The command that diagnoses a run, on real short trainings and on damaged files."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import cnnjax
from cnnjax import CnnjaxError
from cnnjax.analysis.curves import measure
from cnnjax.analysis.diagnosis import Case, diagnose
from cnnjax.analysis.recorded import read_run
from cnnjax.training import DivergedError, classification, create_state, fit, momentum_sgd
from cnnjax.training.lines import read_lines

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


def curve(points=40, validation=True, accuracy=True):
    """Overfitting: training goes on, validation gets worse."""
    p = np.arange(1, points + 1) / points
    loss = 2 * np.exp(-8 * p)
    lines = []
    for i in range(points):
        line = {"step": 5 * (i + 1), "loss": loss[i], "accuracy": 1 - loss[i] / 2.5}
        line |= {"validation_loss": loss[i] + p[i], "validation_accuracy": 0.7 - 0.1 * p[i]}
        kept = [n for n in line if (validation or "validation" not in n)]
        lines.append({n: float(line[n]) for n in kept if accuracy or "accuracy" not in n})
    return lines


def write(folder, lines):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def command(capsys, *arguments):
    from diagnose import Config, run

    run(Config(*arguments[:1], **dict(arguments[1:])))
    return capsys.readouterr().out


def test_the_page_says_case_change_evidence_and_where_the_picture_is(tmp_path, capsys):
    said = command(capsys, write(tmp_path, curve()))
    assert "200 steps, 40 training and 40 validation lines" in said
    assert "diagnosis  overfitting\nchange     regularise" in said
    for measured in ("training", "validation", "bias", "gap", "slope", "rise", "oscillation"):
        assert f"\n{measured} " in said
    picture = tmp_path / "diagnosis.png"
    assert said.endswith(f"{picture}\n")
    assert Image.open(picture).size[0] > 600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["diagnosis.png", "metrics.jsonl"]


def test_a_file_of_metrics_does_as_well(tmp_path, capsys):
    file = write(tmp_path, curve()) / "metrics.jsonl"
    assert "diagnosis  overfitting\n" in command(capsys, file, ("out", tmp_path / "a.png"))
    assert (tmp_path / "a.png").is_file()
    assert not (tmp_path / "diagnosis.png").exists()


def test_json_is_all_there_is_on_standard_output(tmp_path, capsys):
    found = json.loads(command(capsys, write(tmp_path, curve()), ("json", True)))
    assert found["case"] == "overfitting"
    assert found["cases"] == ["overfitting"]
    assert found["target"] == 1.0
    assert found["features"]["training_lines"] == 40
    assert found["findings"]["gap"]["holds"] is True
    assert found["notes"] == []


def test_json_has_null_for_what_is_infinite_or_unknown(tmp_path, capsys):
    lines = [line | {"accuracy": 1.0} for line in curve(points=4)]
    said = command(capsys, write(tmp_path, lines), ("json", True))
    found = json.loads(said, parse_constant=lambda name: pytest.fail(name))
    assert found["features"]["slope"] is None
    assert found["findings"]["gap / bias"]["value"] is None


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (curve(validation=False), "undecided between good and overfitting"),
        (curve(accuracy=False), "diagnosis  overfitting\n"),
        (curve(points=1), "diagnosis  "),
        (curve(points=3), "too few to tell"),
        ([*curve(), {"step": 300, "loss": float("nan")}], "at step 300 a loss is no longer"),
        ([{"step": 1, "loss": float("nan")}], "diagnosis  diverged\nchange     decrease"),
        ([{"step": 0, "loss": 2.0}], "undecided between"),
    ],
)
def test_whatever_a_run_has_left_is_said_and_drawn(tmp_path, capsys, lines, says):
    assert says in command(capsys, write(tmp_path, lines))
    assert (tmp_path / "diagnosis.png").is_file()


def test_the_target_is_an_option(tmp_path, capsys):
    lines = [
        line | {"accuracy": 0.6, "validation_accuracy": 0.59, "validation_loss": line["loss"]}
        for line in curve()
    ]
    assert "too small a network" in command(capsys, write(tmp_path, lines))
    assert "diagnosis  good" in command(capsys, tmp_path, ("target", 0.6))


def test_a_mistake_is_one_line_on_standard_error(tmp_path, run_script):
    done = run_script(SCRIPTS / "diagnose.py", tmp_path)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "cannot be read" in line


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("target", 90.0), "expected an accuracy above 0 and up to 1"),
        (("out", Path("picture.svg")), "picture.svg is no PNG"),
        (("out", Path("nowhere/a.png")), "cannot write nowhere/a.png"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, capsys, monkeypatch, option, says):
    write(tmp_path, curve())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CnnjaxError, match=says):
        command(capsys, tmp_path, option)
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize("variant", ["good", "slow", "few"])
def test_a_real_training_provoked_into_a_case_is_diagnosed_as_such(tmp_path, variant):
    from provoked_runs import BASES, PROVOKED, make_plan, perform

    from cnnjax.studies.runs import Tools

    run = make_plan({"A": BASES["A"]}, seeds=1).runs[f"A-{variant}-0"]
    perform(run, Tools(tmp_path, None, lambda step: None, print))
    lines, damaged = read_run(tmp_path)
    assert (len(lines), damaged) == (60, 0)
    assert diagnose(measure(lines)).case is PROVOKED[variant]


def test_a_real_training_that_diverges_is_diagnosed_from_what_it_leaves(tmp_path, some_variables):
    net = cnnjax.create("mlp", hidden=(16,), num_classes=3)
    optimizer = momentum_sgd(30.0, 100)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(30, 4, 4, 1)), jnp.float32)
    state = create_state(some_variables(net, (4, 4, 1)), optimizer, jax.random.key(0))
    with pytest.raises(DivergedError):
        fit(
            state,
            (images, jnp.arange(30, dtype=jnp.int32) % 3),
            network=net,
            task=classification,
            optimizer=optimizer,
            steps=100,
            batch_size=10,
            seed=0,
            log_every=1,
            directory=tmp_path,
        )
    assert diagnose(measure(read_run(tmp_path)[0])).case is Case.DIVERGED


@pytest.mark.parametrize(
    "line",
    ["[]", "[" * 10_000, f'{{"step": 1, "loss": {"9" * 400}}}', f'{{"step": {"9" * 400}}}'],
    ids=["no object", "deep", "a loss beyond all", "a step beyond all"],
)
def test_a_line_that_no_training_writes_is_counted_as_damaged(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 2, "loss": 1.5}}\n{line}\n')
    assert read_run(tmp_path) == ([{"step": 2, "loss": 1.5}], 1)
    assert len(read_lines(tmp_path)) <= 2
