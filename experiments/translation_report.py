"""What the translation study found: the table and the claims.

All of it is made from the rows of `results.csv` and `curves.csv` alone.
"""

from collections.abc import Sequence

from translation_protocol import NETWORKS, STACKS

from cnnjax.studies.runs import Row
from cnnjax.studies.statistics import Claim, Verdict, judge, paired, t_interval, values

COLUMNS = (
    *("run", "network", "training", "seed", "learning_rate", "parameters", "multiply_adds"),
    *("accuracy", "shifted_accuracy", "loss", "steps", "seconds", "config_hash"),
)
CURVE_COLUMNS = ("run", "shift", "accuracy", "worst", "ink")

LECTURE = 98.0
"""Test accuracy in % of the lecture's MLP on MNIST."""
COLLAPSE = 20.0
"""Points that a network loses at least if it "breaks down", over shifts of 1 pixel to the reach."""
MATRIX = 1200 * 1200
"""Weights of the matrix that lecture 2 finds huge."""
PAIRS = (("three-3x3", "one-7x7"), ("five-3x3", "one-11x11"))
LABELS = {"mlp": "MLP", "lenet5": "LeNet-5"}


def judge_all(rows: Sequence[Row], curves: Sequence[Row]) -> list[Claim]:
    """The lectures' claims, decided by differences over the seeds, or by counting.

    Args:
      rows: of the whole study.
      curves: accuracy by shift.
    """
    claims: list[Claim] = []
    there = {row["network"] for row in rows}

    def add(
        statement: str, differences: Sequence[float], what: str, threshold: float = 0.0
    ) -> None:
        if differences:
            claims.append(judge(statement, differences, what, threshold))

    def count(statement: str, less: int, more: int, what: str) -> None:
        verdict: Verdict = "supported" if less < more else "contradicted"
        claims.append(Claim(statement, verdict, f"{less:,} against {more:,} {what}"))

    accuracies = values(rows, "accuracy", network="mlp", training="centred").values()
    lost = {name: losses(rows, curves, name) for name in NETWORKS}
    add(
        "Three layers of 1200 units reach 98 % (lecture 2, on MNIST)",
        [accuracy - LECTURE for accuracy in accuracies],
        "mlp − 98 %",
    )
    add(
        f"They break down when digits are shifted: they lose more than {COLLAPSE:g} points",
        lost["mlp"],
        "mlp, in place − shifted",
        COLLAPSE,
    )
    less = [a - b for a, b in zip(lost["mlp"], lost["lenet5"], strict=False)]
    add("LeNet-5 loses less", less, "(in place − shifted), mlp − lenet5")
    for name in NETWORKS:
        arms = ({"network": name, "training": training} for training in ("shifted", "centred"))
        add(
            f"Training on shifted digits mends it: {LABELS[name]}",
            paired(rows, "shifted_accuracy", *arms),
            f"{name} on shifted digits, shifted − centred training",
        )
    arms = ({"network": name, "training": "shifted"} for name in ("lenet5", "mlp"))
    add(
        "... and LeNet-5 is then ahead of the MLP",
        paired(rows, "shifted_accuracy", *arms),
        "on shifted digits, lenet5 − mlp",
    )
    if "lenet5" in there:
        count(
            "LeNet-5 has fewer weights in all than one 1200 x 1200 matrix (lecture 2)",
            size(rows, "lenet5", "parameters"),
            MATRIX,
            "parameters",
        )
    for small, large in PAIRS:
        if not {small, large} <= there:
            continue
        names = f"{small.capitalize()} for {large}".replace("-", " ")
        for what, text in (("parameters", "fewer parameters"), ("multiply_adds", "lower cost")):
            sizes = (size(rows, name, what) for name in (small, large))
            count(f"{names}: {text} (lectures 3 and 5)", *sizes, what.replace("_", "-"))
        found = paired(rows, "accuracy", {"network": small}, {"network": large})
        add(f"{names}: better", found, f"{small} − {large}")
    return claims


def losses(rows: Sequence[Row], curves: Sequence[Row], network: str) -> list[float]:
    """Points that a network trained on centred digits loses when they are shifted, one a seed: the
    mean over all shifts against the same images in place."""
    found = []
    for run in runs_of(rows, network, "centred"):
        by_shift = {row["shift"]: row["accuracy"] for row in curves if row["run"] == run}
        shifted = [accuracy for shift, accuracy in by_shift.items() if shift]
        found.append(by_shift[0] - sum(shifted) / len(shifted))
    return found


def runs_of(rows: Sequence[Row], network: str, training: str) -> list[str]:
    """The runs of an arm, by seed."""
    mine = [row for row in rows if (row["network"], row["training"]) == (network, training)]
    return [row["run"] for row in sorted(mine, key=lambda row: row["seed"])]


def size(rows: Sequence[Row], network: str, quantity: str) -> int:
    """Parameters, or multiply-adds, of a network."""
    return next(int(row[quantity]) for row in rows if row["network"] == network)


def summarise(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The table: a line for each network and training."""
    lines = []
    for name, training in dict.fromkeys((row["network"], row["training"]) for row in rows):
        cells = {"network": name, "training": training}
        in_place, moved = (
            list(values(rows, measure, **cells).values())
            for measure in ("accuracy", "shifted_accuracy")
        )
        counts = (f"{size(rows, name, what):,}" for what in ("parameters", "multiply_adds"))
        shown = [_short(found) if found else "" for found in (in_place, moved)]
        label = LABELS.get(name, name.replace("-", " "))
        lines.append([label, "" if name in STACKS else training, *counts, *shown])
    return ["network", "trained", "parameters", "multiply-adds", "in place", "shifted"], lines


def _short(found: Sequence[float]) -> str:
    interval = t_interval(found)
    half = f" ± {interval.half_width:.1f}" if interval.count > 1 else ""
    return f"{interval.mean:.1f}{half}"
