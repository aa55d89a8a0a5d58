"""The files of studies and trainings, names of folders, and flags, for scripts/faults/fuzz.py."""

import contextlib
import io
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from cnnjax import command
from cnnjax.errors import CnnjaxError
from cnnjax.studies import study
from faults.files import FILES, Kind, json_of
from faults.mutations import mutated
from faults.streams import STREAMS

MARK = {"study": "fuzz", "config": {"steps": 20, "layers": [1, 2], "seed": 0, "data": ["ab12"]}}
NUMBERS = ("nan", "inf", "-inf", "-1", "0", "1", "1e30", f"{10**30}", "-0.0", "1e-300", "0x7", "")
POSSIBLE = ("1", "2", "3", "16", "0.5", "0.01", "28")
WORDS = ("", " ", "a" * 500, "ünïcødé-Ж-漢字-🦜", "../..", "/dev/null", "a\nb", "%s{0}", "=", "-",
         "x=1",
         "hidden=(", "hidden=9**9", "flip:nan", "npz:", "folder:", "tfds:", "npz:/dev/null",
         "folder:/proc", "glyphs/", "glyphs/++", "tfds:../../x", "lenet5", "sgd")  # fmt: skip


def _mark(folder: Path, canary: Path) -> list[bytes]:
    return [json_of(MARK)]


def _claim(path: Path) -> object:
    from cnnjax.studies.folders import claim_folder

    return claim_folder(path.parent, MARK["study"], MARK["config"])


def _result(folder: Path, canary: Path) -> list[bytes]:
    from cnnjax.studies.runs import Outcome

    study = _toy(folder, lambda run, tools: Outcome({"accuracy": 0.5}, None, [{"step": 1}]))
    study.execute()
    return [(folder / "runs/a/result.json").read_bytes()]


def _toy(root: Path, perform: Callable) -> object:
    from cnnjax.studies.plans import Plan, Run
    from cnnjax.studies.runs import Folder

    return Folder(Plan([Run("a", {"value": 1})]), root, perform)


def _rows(path: Path) -> object:
    study = _toy(path.parents[2], lambda run, tools: None)
    found = study.rows(), study.curves()
    if found[0] and found[0][0]["accuracy"] != 0.5:
        raise AssertionError(f"another accuracy than was written: {found[0]}")
    return found


def _metrics(folder: Path, canary: Path) -> list[bytes]:
    lines = [
        {"step": 10 * k, "loss": 2.0 / k, "accuracy": 1 - 0.9 / k}
        | ({"validation_loss": 2.1 / k, "validation_accuracy": 0.9 - 0.8 / k} if k % 2 else {})
        for k in range(1, 12)
    ]
    return [b"".join(json_of(line).replace(b"\n", b"") + b"\n" for line in lines)]


def _diagnose(path: Path) -> object:
    import diagnose

    from cnnjax.training.lines import read_lines

    read_lines(path.parent)
    config = diagnose.Config(path, out=path.with_suffix(".png"), json=True)
    save, diagnose.save_png = diagnose.save_png, lambda figure, out: None  # drawn, but not written
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            diagnose.run(config)
    finally:
        diagnose.save_png = save
    return None


def _table(folder: Path, canary: Path) -> list[bytes]:
    from cnnjax.studies.results import write_results

    path = folder / "results.csv"
    write_results(path, [{"run": f"r{k}", "accuracy": k / 7, "loss": None} for k in range(5)],
                  ("run", "accuracy", "loss"))  # fmt: skip
    return [path.read_bytes()]


def _read_table(path: Path) -> object:
    from cnnjax.studies.results import read_results

    return read_results(path)


def _report(folder: Path, canary: Path) -> list[bytes]:
    machine = {"device": "cpu", "devices": 1, "cpu_cores": 2, "jax": "0.10"}
    claims = [{"statement": "it learns", "verdict": "supported", "numbers": "+1 ± 0.2"}]
    table = {"heading": "Points", "columns": ["arm", "mean"], "lines": [["a", "1"]]}
    report = {"study": "dropout", "command": "python x.py", "runs": 3, "seconds": 9}
    return [json_of(report | {"machine": machine, "claims": claims, "table": table})]


def _studies(path: Path) -> object:
    import studies

    for name in ("figure.png", "results.csv"):
        (path.parent / name).touch()
    return studies.page(path.parents[1], path.parents[1] / "studies.md")


def _trained(folder: Path, canary: Path) -> list[bytes]:
    import train_results

    path = folder / "result.json"
    train_results.write_result(path, {"steps": 9, "test": {"accuracy": 0.5, "loss": 1.25}})
    return [path.read_bytes()]


def _is_finished(path: Path) -> object:
    import train_results

    if not train_results.is_finished(path, lambda message: None):
        raise CnnjaxError("done again")
    if b'"accuracy": 0.5' not in path.read_bytes():
        raise AssertionError("another accuracy than was written")
    return None


def _labels(folder: Path, canary: Path) -> list[bytes]:
    return [b"file,class_index\ni.png,3\nj.png,0\n"]


def _read_labels(path: Path) -> object:
    import predict

    return predict.read_labels(path, [Path("i.png"), Path("j.png")])


def _halves(folder: Path, canary: Path) -> list[bytes]:
    return [json_of({"A": ["cat", "dog"], "B": ["oak", "elm"]})]


def _read_halves(path: Path) -> object:
    from cnnjax.data import halves

    return halves.halves_from_file(path, ("cat", "dog", "oak", "elm"))


def _checkpoint(folder: Path, canary: Path) -> list[bytes]:
    return [json_of({"_METADATA": "0" * 64, "d/1": "1" * 64})]


def _restore(path: Path) -> object:
    from cnnjax.training import checkpoints

    return checkpoints.read(path.parent)


FOLDERS = (
    Kind("study: study.json", "s/study.json", _mark, _claim),
    Kind("study: result.json of a run", "s/runs/a/result.json", _result, _rows),
    Kind("study: results.csv", "s/results.csv", _table, _read_table),
    Kind("study: report.json, by studies.py", "r/dropout/report.json", _report, _studies),
    Kind("study: halves of classes", "h.json", _halves, _read_halves),
    Kind("training: metrics.jsonl, by diagnose.py", "m/metrics.jsonl", _metrics, _diagnose,
         share=0.25),
    Kind("training: result.json", "t/result.json", _trained, _is_finished),
    Kind("checkpoint: manifest.json", "c/manifest.json", _checkpoint, _restore),
    Kind("predict.py: labels", "l.csv", _labels, _read_labels),
)  # fmt: skip


def odd_folder(root: Path, rng: random.Random) -> object:
    """Reads a folder of pictures whose names, depth and contents are odd."""
    from cnnjax.data.folders import read_folder

    shutil.rmtree(root, ignore_errors=True)
    names = ["cat", "dog", "-rf", "a b", "Ж", "漢", "🦜", "..x", ".hidden", "n\nl", "é", "e\u0301",
             "train", "test", "val", "x" * 250, "\udcff", "$(touch x)", "%00", "CON"]  # fmt: skip
    root.mkdir(parents=True)
    for number in range(rng.randint(1, 4)):
        folder = root / rng.choice(names)
        if rng.random() < 0.2:
            folder /= rng.choice(names)
        folder.mkdir(parents=True, exist_ok=True)
        for place in range(rng.randint(2, 12)):
            name = (
                f"{number}-{place}{rng.choice(names)[:100]}{rng.choice(('.png', '.PNG', '.txt'))}"
            )
            path = folder / name
            match rng.randrange(40):
                case 0:
                    path.write_bytes(b"")
                case 1:
                    path.symlink_to(rng.choice((path, folder, Path("/dev/null"))))
                case 2:
                    path.mkdir()
                case _:
                    pixels = np.zeros((rng.randint(1, 9), 5), np.uint8)
                    Image.fromarray(pixels).save(path, "PNG")
    return read_folder(root)


class Accepted(Exception):  # noqa: N818
    """The flags have been read and found possible: the work would begin."""


def odd_flags(script: ModuleType, always: Sequence[str], rng: random.Random) -> object:
    """A command line with up to three flags that are odd, up to where its work would begin."""

    def begin(*_: object) -> None:
        raise Accepted

    script.claim_folder = study.claim_folder = begin
    usual = [*always, "--out", "/nonexistent/out"]
    for field in rng.sample(fields(script.Config), rng.randint(1, 3)):
        if field.name in ("out", "list", "smoke", "only"):
            continue
        values = rng.choices((POSSIBLE, NUMBERS, WORDS), (4, 4, 3))[0]
        usual += [f"--{field.name.replace('_', '-')}", rng.choice(values)]
    sys.argv = [script.__file__, command.NO_COMPILE_CACHE, *usual]
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            command.main(script.Config, script.run, script.__doc__)
    except Accepted:
        return None
    except SystemExit as end:
        said = err.getvalue()
        if end.code == 2 and "Traceback" not in said:
            one_line = not said.startswith("error: ") or said.count("\n") == 1
            if one_line or "\n" in " ".join(usual):
                raise CnnjaxError("refused") from None
        raise AssertionError(f"{usual}: status {end.code}, {said[-300:]}") from None
    except Exception as error:
        raise AssertionError(f"{usual}: {type(error).__name__}: {error}") from error
    raise AssertionError(f"{usual}: it ended without having begun")


KINDS = (*FILES, *STREAMS, *FOLDERS)
__all__ = ["KINDS", "mutated", "odd_flags", "odd_folder"]
