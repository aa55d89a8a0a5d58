"""What the study of batch normalisation found: the table and the claims.

All of it is made from the rows of `results.csv` and `curves.csv` alone.
"""

from collections.abc import Callable, Mapping, Sequence

from cnnjax.studies.runs import Row
from cnnjax.studies.statistics import Claim, judge, paired, t_interval, values

Cells = Mapping[str, object]

MARGIN = 1.0
"""Points that two accuracies may differ by and still count as the same."""


def arm(part: str, normalised: int, **cells: object) -> dict[str, object]:
    """The cells of the rows of one arm."""
    return {"part": part, "normalised": normalised, **cells}


def conv(normalised: int, multiple: float, activation: str = "relu") -> dict[str, object]:
    """The cells of an arm of the comparison of learning rates."""
    return arm("rates", normalised, multiple=multiple, activation=activation)


PLAIN, NORMALISED = arm("figure1", 0), arm("figure1", 1)


class Steps:
    """Steps that runs took to an accuracy, from their curves."""

    def __init__(self, rows: Sequence[Row], curves: Sequence[Row]) -> None:
        self.rows = rows
        self._curves: dict[object, list[Row]] = {}
        for point in curves:
            self._curves.setdefault(point["run"], []).append(point)

    def points(self, run: object, measure: str = "test_accuracy") -> list[tuple[int, float]]:
        """(step, value) of a run at all moments where it was measured."""
        found = self._curves.get(run, [])
        return [(p["step"], p[measure]) for p in found if p.get(measure) is not None]

    def to_best_of(self, cells: Cells, reference: Cells) -> dict[object, int | None]:
        """{seed: steps to the best accuracy of the reference in that seed, None if never}."""
        targets, runs = values(self.rows, "best_accuracy", **reference), self.runs(cells)
        return {
            seed: next((step for step, a in self.points(runs[seed]) if a >= target), None)
            for seed, target in targets.items()
            if seed in runs
        }

    def saved(self, plus: Cells, minus: Cells, reference: Cells) -> list[float]:
        """By how many percent `plus` needs fewer steps than `minus` to the best accuracy of the
        reference, a value a seed; one that never gets there counts with all its steps."""
        lengths = [values(self.rows, "steps", **cells) for cells in (plus, minus)]
        taken = [self.to_best_of(cells, reference) for cells in (plus, minus)]
        seeds = sorted(taken[0].keys() & taken[1])
        few, many = (
            [found[seed] or length[seed] for seed in seeds]
            for found, length in zip(taken, lengths, strict=True)
        )
        return [100.0 * (1 - a / b) for a, b in zip(few, many, strict=True)]

    def runs(self, cells: Cells) -> dict[object, object]:
        """{seed: name of the run} of one arm."""
        return values(self.rows, "run", **cells)


def judge_all(rows: Sequence[Row], curves: Sequence[Row]) -> list[Claim]:
    """The claims of the paper, of those parts that were run."""
    steps, claims = Steps(rows, curves), []
    parts: dict[str, Callable[[], list[Claim]]] = {
        "figure1": lambda: _figure1(steps),
        "rates": lambda: _rates(steps),
        "batches": lambda: _batches(steps),
    }
    for part, judged in parts.items():
        if any(row["part"] == part for row in rows):
            claims += judged()
    return claims


def _figure1(steps: Steps) -> list[Claim]:
    rows = steps.rows
    return [
        judge(
            "Figure 1a: batch normalisation ends at a higher test accuracy",
            paired(rows, "accuracy", NORMALISED, PLAIN),
            "with − without",
        ),
        judge(
            "Figure 1a: it is faster to the best accuracy without it",
            steps.saved(NORMALISED, PLAIN, PLAIN),
            "% of the steps saved",
        ),
        judge(
            "Figures 1b, 1c: it makes the inputs of the last hidden sigmoid more stable",
            [100 * x for x in paired(rows, "drift", PLAIN, NORMALISED)],
            "drift of the percentiles, without − with, in hundredths",
        ),
    ]


def _rates(steps: Steps) -> list[Claim]:
    rows, plain = steps.rows, conv(0, 1.0)

    def over_guessing(cells: Cells) -> list[float]:
        classes = values(rows, "classes", **cells)
        found = values(rows, "accuracy", **cells)
        return [found[seed] - 200 / classes[seed] for seed in sorted(found)]

    def lost(cells: Cells) -> list[float]:
        return [-x for x in over_guessing(cells)]

    return [
        judge(
            "×1: with it, fewer steps to the best accuracy without it (paper: 57 % saved)",
            steps.saved(conv(1, 1.0), plain, plain),
            "% of the steps saved",
        ),
        judge(
            "×5: fewer steps still (paper: 93 % saved in all, 84 % against ×1)",
            steps.saved(conv(1, 5.0), conv(1, 1.0), plain),
            "% of the steps saved, ×5 against ×1",
        ),
        judge(
            "×5: a better best accuracy than ×1 (paper: by 0.3 points)",
            paired(rows, "best_accuracy", conv(1, 5.0), conv(1, 1.0)),
            "×5 − ×1",
        ),
        judge(
            "×30: the best accuracy of all (paper: 1.8 points above ×5)",
            paired(rows, "best_accuracy", conv(1, 30.0), conv(1, 5.0)),
            "×30 − ×5",
        ),
        judge(
            "Without it ×5 fails (paper: to machine infinity): no more than twice guessing",
            lost(conv(0, 5.0)),
            "twice guessing − accuracy",
        ),
        judge(
            "Sigmoids without it stay near guessing (paper: 0.1 % or less): not twice it",
            lost(conv(0, 5.0, "sigmoid")),
            "twice guessing − accuracy",
        ),
        judge(
            "Sigmoids with it can be trained (paper: 69.8 %): more than twice guessing",
            over_guessing(conv(1, 5.0, "sigmoid")),
            "accuracy − twice guessing",
        ),
    ]


def _batches(steps: Steps) -> list[Claim]:
    rows = steps.rows
    sizes = sorted({row["batch_size"] for row in rows if row["part"] == "batches"})
    small, large = sizes[0], sizes[-1]

    def gain(size: int) -> list[float]:
        cells = [arm("batches", n, batch_size=size) for n in (1, 0)]
        return paired(rows, "accuracy", *cells)

    def gap(size: int) -> list[float]:
        cells = arm("batches", 1, batch_size=size)
        running, batch = (values(rows, m, **cells) for m in ("accuracy", "batch_accuracy"))
        return [running[seed] - batch[seed] for seed in sorted(running.keys() & batch)]

    claims = [
        judge(
            f"Batches of {small}: running statistics serve better than those of the test batch",
            gap(small),
            "running − batch",
        ),
        judge(
            f"Batches of {large}: the two agree within {MARGIN:g} point",
            [MARGIN - abs(x) for x in gap(large)],
            f"{MARGIN:g} − |running − batch|",
        ),
    ]
    if len(sizes) > 1:
        differences = [a - b for a, b in zip(gain(large), gain(small), strict=True)]
        first = judge(
            f"It gains less with batches of {small} than with {large} (Wu and He 2018, figure 1)",
            differences,
            f"(with − without) at {large} − at {small}",
        )
        claims.insert(0, first)
    return claims


def summarise(rows: Sequence[Row], curves: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The table: a line for each arm, means over its seeds."""
    steps, lines = Steps(rows, curves), []
    keys = ("part", "normalised", "activation", "multiple", "batch_size")
    for key in dict.fromkeys(tuple(row[k] for k in keys) for row in rows):
        cells = dict(zip(keys, key, strict=True))
        mine = [row for row in rows if all(row[k] == v for k, v in cells.items())]
        lines.append(
            [
                label(mine[0]),
                f"{mine[0]['learning_rate']:g}",
                _interval([row["accuracy"] for row in mine]),
                _interval([row["best_accuracy"] for row in mine]),
                _steps(steps, cells),
                _interval([r["batch_accuracy"] for r in mine if r["batch_accuracy"] is not None]),
                _interval([row["drift"] for row in mine if row["drift"] is not None]),
            ]
        )
    heading = ["arm", "rate", "accuracy", "best", "steps to plain's best", "by batch", "drift"]
    return heading, lines


def label(row: Row) -> str:
    """What an arm is called in tables and legends."""
    kind = "with" if row["normalised"] else "without"
    if row["part"] == "figure1":
        return f"figure 1, {kind}"
    if row["part"] == "batches":
        return f"batches of {row['batch_size']}, {kind}"
    return f"×{row['multiple']:g}, {kind}{', sigmoid' if row['activation'] == 'sigmoid' else ''}"


def _steps(steps: Steps, cells: Cells) -> str:
    reference = {"figure1": PLAIN, "rates": conv(0, 1.0)}.get(str(cells["part"]))
    if reference is None:
        return ""
    return " ".join(
        "–" if s is None else f"{s:,}" for s in steps.to_best_of(cells, reference).values()
    )


def _interval(found: Sequence[float]) -> str:
    if not found:
        return ""
    interval = t_interval(found)
    return f"{interval.mean:.2f}" + (f" ± {interval.half_width:.2f}" if len(found) > 1 else "")
