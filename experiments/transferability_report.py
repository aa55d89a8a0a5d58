"""What the transferability study found: the table and the claims.

All of it is made from the rows of `results.csv` alone.
"""

from collections.abc import Iterable, Sequence

from cnnjax.studies.runs import Row
from cnnjax.studies.statistics import Claim, Interval, above, t_interval
from cnnjax.transfer.treatments import TREATMENTS

COLUMNS = (
    *("run", "treatment", "n", "split", "source", "target", "accuracy", "change", "loss"),
    *("steps", "seconds", "config_hash"),
)

MARGIN = 1.0
"""Points that an accuracy may lose and still count as kept."""


class Results:
    """The rows by arm, paired: a value is a mean over the directions within one split."""

    def __init__(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        # The base of a half that is a source only is nobody's measure.
        targets = {row["target"] for row in rows if row["treatment"] != "base"}
        self.rows = [row for row in rows if not targets or row["target"] in targets]
        self.layers = sorted({row["n"] for row in self.rows} - {0})

    def arms(self) -> list[str]:
        """The treatments present, in the order of `TREATMENTS`."""
        present = {row["treatment"] for row in self.rows}
        return [arm for arm in TREATMENTS if arm in present]

    def accuracies(self, arm: str, n: int) -> list[float]:
        """Of every run of that arm and n, in percent."""
        return [row["accuracy"] for row in self.rows if (row["treatment"], row["n"]) == (arm, n)]

    def change(self, arm: str, n: int) -> dict[int, float]:
        """{split: points against the base of the same target}."""
        by_split: dict[int, list[float]] = {}
        for row in self.rows:
            if (row["treatment"], row["n"]) == (arm, n) and row["change"] is not None:
                by_split.setdefault(row["split"], []).append(row["change"])
        return {split: sum(v) / len(v) for split, v in sorted(by_split.items())}

    def difference(self, plus: str, minus: str, layers: Sequence[int]) -> list[float]:
        """Points by which arm `plus` is above arm `minus`, a value a split, mean over `layers`.

        Without layers of their own, `base` and `base2x` are the same for every n.
        """
        values: dict[int, list[float]] = {}
        for n in layers:
            above, below = (
                self.change(arm, 0 if arm in ("base", "base2x") else n) for arm in (plus, minus)
            )
            for split in above.keys() & below:
                values.setdefault(split, []).append(above[split] - below[split])
        return [sum(v) / len(v) for _, v in sorted(values.items()) if len(v) == len(layers)]


def with_changes(rows: Iterable[Row]) -> list[Row]:
    """Adds to each row its change in points against the base of the same split and target."""
    rows = list(rows)
    bases = {
        (row["split"], row["target"]): row["accuracy"] for row in rows if row["treatment"] == "base"
    }

    def change(row: Row) -> float | None:
        base = bases.get((row["split"], row["target"]))
        return None if base is None else round(row["accuracy"] - base, 4)

    return [{name: (row | {"change": change(row)})[name] for name in COLUMNS} for row in rows]


def summarise(rows: Iterable[Row]) -> tuple[list[str], list[list[str]]]:
    """The table: a line for each n, a column for each arm with its mean change and half the length
    of its 95 % interval."""
    results = Results(rows)
    arms = [arm for arm in results.arms() if arm not in ("base", "base2x")]
    lines = []
    for n in results.layers:
        cells = [str(n)]
        for arm in arms:
            values = list(results.change(arm, n).values())
            cells.append(_short(t_interval(values)) if values else "")
        lines.append(cells)
    return ["n", *arms], lines


def judge(rows: Iterable[Row], stages: int) -> list[Claim]:
    """The paper's claims, each decided by paired differences over the splits.

    Early, middle and late are n / stages up to 0.25, from 0.4 to 0.7 and from 0.7 on: n = 1-2,
    4-5 and 6-7 of the paper's 8 layers. A claim whose arms are not there is left out.

    Args:
      rows: with their changes.
      stages: of the network, the head included.
    """
    results = Results(rows)
    early = [n for n in results.layers if n / stages <= 0.25]
    middle = [n for n in results.layers if 0.4 <= n / stages < 0.7]
    late = [n for n in results.layers if n / stages >= 0.7]
    deep = middle + late
    claims: list[Claim] = []

    def add(
        statement: str,
        plus: str,
        minus: str,
        layers: Sequence[int],
        threshold: float = 0.0,
    ) -> None:
        values = results.difference(plus, minus, layers) if layers else []
        if values:
            interval = t_interval(values)
            numbers = f"{plus} − {minus} at n = {_numbers(layers)}: {interval}"
            claims.append(Claim(statement, above(interval, threshold), numbers))

    kept = f"lose less than {MARGIN:g} point"
    add(
        f"Early layers are general: copied from A and frozen they {kept}",
        *("AnB", "base", early, -MARGIN),
    )
    add("Middle layers are co-adapted: cut and frozen, B's own do worse", "base", "BnB", middle)
    add(
        f"... and late ones less so: cut there, B's own {kept}",
        *("BnB", "base", late, -MARGIN),
    )
    add("Late layers are specific: A's do worse on B than B's own", "BnB", "AnB", late)
    if early and late:
        falls = [
            a - b
            for a, b in zip(
                results.difference("AnB", "base", early),
                results.difference("AnB", "base", late),
                strict=True,
            )
        ]
        if falls:
            interval = t_interval(falls)
            numbers = f"AnB at n = {_numbers(early)} − at n = {_numbers(late)}: {interval}"
            claims.append(Claim("Frozen transfer falls with n", above(interval), numbers))
    add("Even distant features beat random ones", "AnB", "random", deep)
    add("Fine-tuning heals: A's layers do better when they learn too", "AnB+", "AnB", deep)
    every = results.layers
    add("Fine-tuned transfer beats the base (paper: by 1.6 points)", "AnB+", "base", every)
    add("... by more than fine-tuned B does (paper: by 1.4; confounded)", "AnB+", "BnB+", every)
    add("... and by more than the doubled budget does (not in the paper)", "AnB+", "base2x", every)
    return claims


def _short(interval: Interval) -> str:
    half = f" ± {interval.half_width:.1f}" if interval.count > 1 else ""
    return f"{interval.mean:+.1f}{half}"


def _numbers(layers: Sequence[int]) -> str:
    consecutive = list(layers) == list(range(layers[0], layers[-1] + 1))
    if len(layers) > 2 and consecutive:
        return f"{layers[0]}–{layers[-1]}"
    return ", ".join(map(str, layers))
