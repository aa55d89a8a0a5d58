"""What the augmentation study found: the table and the claims.

All of it is made from the rows of `results.csv` alone.
"""

from collections.abc import Collection, Sequence

from augmentation_protocol import ARMS, PARTS, SIZES

from cnnjax.studies.runs import Row
from cnnjax.studies.statistics import Claim, judge, paired, t_interval, values
from cnnjax.studies.trainings import CURVE_COLUMNS

__all__ = ["COLUMNS", "CURVE_COLUMNS", "changes", "judge_all", "kept_arm", "summarise"]

COLUMNS = (
    *("run", "arm", "size", "images", "seed", "accuracy", "before", "train_accuracy"),
    *("mirrored", "turned", "others", "loss", "steps", "seconds", "config_hash"),
)
VERBS = {"rotate": "Rotating", "shift": "Shifting", "flip": "Mirroring", "turn": "Turning"}
TWINS = {"flip": "mirrored", "turn": "turned"}
"""The column of the characters that an arm makes others of."""


def kept_arm(harmful: Collection[str]) -> str:
    """The recipe, without what changes the class.

    >>> kept_arm(["flip", "turn"]), kept_arm(["turn"])
    ('all-flip', 'all')
    """
    return "all-flip" if "flip" in harmful else "all"


def changes(
    rows: Sequence[Row], plus: str, minus: str, size: str, measure: str = "accuracy"
) -> list[float]:
    """Points by which arm `plus` is above arm `minus` on that training set, one a seed."""
    return paired(rows, measure, {"arm": plus, "size": size}, {"arm": minus, "size": size})


def judge_all(rows: Sequence[Row], harmful: Collection[str]) -> list[Claim]:
    """The lectures' claims, each decided by paired differences over the seeds; a claim whose arms
    are not there is left out.

    Args:
      rows: of the whole study.
      harmful: the arms, flip or turn or both, that make another class of an image of this data
        set; the gain of augmentation is judged on the recipe without them.
    """
    kept, claims = kept_arm(harmful), []

    def add(statement: str, differences: Sequence[float], what: str) -> None:
        if differences:
            claims.append(judge(statement, differences, what))

    gains = {size: changes(rows, kept, "none", size) for size in SIZES}
    add(
        "Augmentation raises test accuracy (lecture 1: from 82.0 to 90.3 % on CIFAR-10)",
        gains["full"],
        f"{kept} − none, full",
    )
    add("... and on few images", gains["small"], f"{kept} − none, small")
    add(
        "... and by more where there are fewer",
        _minus(gains["small"], gains["full"]),
        f"({kept} − none), small − full",
    )
    add(
        "Without it the network overfits: training is further above test accuracy",
        _minus(
            changes(rows, "none", kept, "full", "train_accuracy"),
            changes(rows, "none", kept, "full"),
        ),
        f"(training − test), none − {kept}, full",
    )
    rises = paired_rise(rows, kept)
    add(
        "With it accuracy is still rising at the end (lecture 1; its curve: by 0.36 points)",
        rises,
        f"{kept}, last fifth − the fifth before, full",
    )
    for part in PARTS:
        for size in SIZES:
            if part in harmful:
                text, plus, minus = "makes the recipe worse", f"all-{part}", "all"
            else:
                text, plus, minus = "earns its keep in the recipe", "all", f"all-{part}"
            on = f" ({size} training set)"
            found = changes(rows, plus, minus, size)
            add(f"{VERBS[part]} {text}{on}", found, f"{plus} − {minus}, {size}")
    for arm in sorted(set(harmful) & TWINS.keys()):
        for size in SIZES:
            add(
                f"{VERBS[arm]} hurts by itself: the class is not kept ({size} training set)",
                changes(rows, "none", arm, size),
                f"none − {arm}, {size}",
            )
        lost = {kind: changes(rows, "none", arm, "full", kind) for kind in (TWINS[arm], "others")}
        if all(lost.values()):
            add(
                f"... and most the characters that it makes another of ({TWINS[arm]} twins)",
                _minus(lost[TWINS[arm]], lost["others"]),
                f"(none − {arm}), twins − others, full",
            )
    return claims


def paired_rise(rows: Sequence[Row], arm: str) -> list[float]:
    """Points by which the last fifth of the training is above the fifth before, one a seed."""
    cells = {"arm": arm, "size": "full"}
    last, before = (values(rows, measure, **cells) for measure in ("accuracy", "before"))
    return [last[seed] - before[seed] for seed in sorted(last)]


def summarise(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The table: a line for each arm, test accuracy and what it is above training without."""
    lines = []
    for arm in [arm for arm in ARMS if any(row["arm"] == arm for row in rows)]:
        cells = [arm]
        for size in SIZES:
            found = values(rows, "accuracy", arm=arm, size=size)
            above = changes(rows, arm, "none", size)
            cells.append(_short(list(found.values()), "{:.1f}"))
            cells.append(_short(above, "{:+.1f}") if above and arm != "none" else "")
        lines.append(cells)
    columns = [column for size in SIZES for column in (size, f"{size}: above none")]
    return ["arm", *columns], lines


def _minus(plus: Sequence[float], minus: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(plus, minus, strict=True)]


def _short(found: Sequence[float], form: str) -> str:
    interval = t_interval(found)
    half = f" ± {interval.half_width:.1f}" if interval.count > 1 else ""
    return form.format(interval.mean) + half
