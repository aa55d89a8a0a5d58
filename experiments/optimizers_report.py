"""What the study of update rules found: the table and the claims, from the rows alone."""

from collections.abc import Iterable, Sequence

import numpy as np
from optimizers_rules import LECTURE, USUAL_RATES
from optimizers_surfaces import SURFACES

from cnnjax.studies.runs import Row
from cnnjax.studies.statistics import Claim, above, paired, t_interval

COLUMNS = (
    *("run", "kind", "where", "rule", "seed", "rate", "rates_tried", "arrival", "departure"),
    *("overshoot", "swing", "first_step", "last_step", "train_loss", "validation_loss"),
    *("accuracy", "ms_per_step", "seconds", "config_hash"),
)
CURVE_COLUMNS = ("run", "step", "t1", "t2", "step_length", "loss", "test_accuracy")

ADAPTIVE = ("adagrad", "rmsprop", "adam_simplified")
"""The lecture's."""


class Arms:
    """The rows by arm: values by the number of the start, or the seed."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)
        self.rules = [rule for rule in USUAL_RATES if any(r["rule"] == rule for r in self.rows)]

    def values(self, measure: str, **cells: object) -> list[float]:
        """In the order of the rows."""
        return [
            row[measure]
            for row in self.rows
            if row.get(measure) is not None and all(row[k] == v for k, v in cells.items())
        ]

    def more(
        self, measure: str, plus: Sequence[str], minus: Sequence[str], **cells: object
    ) -> list[float]:
        """By how much the mean of some rules is above that of others, a value a start or seed;
        nothing unless all the rules are there."""
        if not {*plus, *minus} <= set(self.rules):
            return []
        pairs = [
            paired(self.rows, measure, cells | {"rule": a}, cells | {"rule": b})
            for a in plus
            for b in minus
        ]
        return np.mean(pairs, axis=0).tolist() if len({len(p) for p in pairs}) == 1 else []

    def ratio(self, measure: str, over: str, under: str, **cells: object) -> list[float]:
        """One rule's measure over another's, a value a start."""
        pair = (self.values(measure, rule=rule, **cells) for rule in (over, under))
        return [a / b for a, b in zip(*pair, strict=False)]

    def tuning(self, rule: str) -> list[Row]:
        """The rates that were tried on the network, in their order."""
        return [r for r in self.rows if (r["kind"], r["rule"]) == ("tuning", rule)]

    def tuned(self, rule: str) -> float | None:
        """The rate of the final trainings."""
        rates = self.values("rate", kind="final", rule=rule)
        return rates[0] if rates else None


def judge(rows: Iterable[Row]) -> list[Claim]:
    """The lecture's claims, decided by paired differences over starting points or seeds.

    A claim whose rules are not there is left out.
    """
    arms = Arms(rows)
    claims: list[Claim] = []

    def add(
        statement: str,
        differences: Sequence[float],
        what: str,
        digits: int = 1,
        threshold: float = 0.0,
    ) -> None:
        if differences:
            interval = t_interval(differences)
            mean, low, high = (f"{x:+,.{digits}f}" for x in interval[:3])
            numbers = f"{what}: {mean} [{low}, {high}]" if interval.count > 1 else f"{what}: {mean}"
            claims.append(Claim(statement, above(interval, threshold), numbers))

    sgd, momentum, nesterov = (("sgd",), ("momentum",), ("nesterov",))
    best = {"kind": "surface"}
    steps = "steps to arrive, SGD − momentum"
    add(
        "Momentum is faster than plain SGD in a ravine (curvatures 1 and 100)",
        arms.more("arrival", sgd, momentum, where="ravine", **best),
        f"{steps}, at the best rate of each",
    )
    add(
        "... in a gentle valley too (1 and 10)",
        arms.more("arrival", sgd, momentum, where="valley", **best),
        f"{steps}, at the best rate of each",
    )
    add(
        "... and at a rate at which SGD's swing across the ravine grows",
        arms.more("arrival", sgd, momentum, where="ravine", rate=0.03),
        f"{steps}, both at rate 0.03",
    )
    add(
        "Momentum dampens the swing across the ravine where SGD's dies away",
        arms.more("swing", sgd, momentum, where="ravine", rate=0.018),
        "mean |t2| of 100 steps in % of the start, SGD − momentum, both at rate 0.018",
    )
    add(
        "Nesterov's rule overshoots less than momentum",
        arms.more("overshoot", momentum, nesterov, where="ravine", rate=0.01),
        "beyond the lowest place along the ravine in % of the way, both at rate 0.01",
    )
    leaving = "steps until |t2| > 1/2"
    for name, rules in (("Momentum", momentum), ("Adaptive rules", ADAPTIVE)):
        short = "momentum" if rules is momentum else "mean of AdaGrad, RMSProp, simplified Adam"
        add(
            f"{name} leave{'s' if rules is momentum else ''} a saddle sooner than SGD",
            arms.more("departure", sgd, rules, kind="one rate", where="saddle", rate=0.1),
            f"{leaving}, SGD − {short}, all at rate 0.1",
        )
        add(
            "... when each has its best rate",
            arms.more("departure", sgd, rules, where="saddle", **best),
            f"{leaving}, SGD − {short}",
        )
    slope = {"kind": "slope"}
    add(
        "AdaGrad's steps die away on an even slope, RMSProp's do not",
        arms.more("last_step", ("rmsprop",), ("adagrad",), **slope),
        "length of the last step in rates, RMSProp − AdaGrad",
        3,
    )
    add(
        "Without bias correction Adam's first step is 3.16 times too long (counts: above 3.1)",
        arms.ratio("first_step", "adam_simplified", "adam", **slope),
        "first step, simplified / corrected",
        2,
        threshold=3.1,
    )
    final = {"kind": "final"}
    loss = "training loss at the end"
    for statement, plus, minus, what in (
        ("On the CNN momentum ends below SGD", sgd, momentum, "SGD − momentum"),
        ("... and Nesterov's rule below momentum", momentum, nesterov, "momentum − Nesterov"),
        ("The adaptive rules end below SGD", sgd, ADAPTIVE, "SGD − mean of the lecture's three"),
        ("... and below momentum", momentum, ADAPTIVE, "momentum − mean of the lecture's three"),
        ("RMSProp ends below AdaGrad", ("adagrad",), ("rmsprop",), "AdaGrad − RMSProp"),
        (
            "RMSProp + momentum, the simplified Adam, ends below RMSProp",
            ("rmsprop",),
            ("adam_simplified",),
            "RMSProp − simplified Adam",
        ),
        (
            "Adam with bias correction ends below the simplified one",
            ("adam_simplified",),
            ("adam",),
            "simplified − corrected",
        ),
    ):
        add(statement, arms.more("train_loss", plus, minus, **final), f"{loss}, {what}", 3)
    return claims


def summarise(rows: Iterable[Row]) -> tuple[list[str], list[list[str]]]:
    """The table: a line for each rule; means over starts and seeds."""
    arms = Arms(rows)
    columns = ["rule", *SURFACES, "first step", "CNN: rate", "tried", "loss", "accuracy", "ms"]
    lines = []
    for rule in arms.rules:
        cells = [rule + ("" if rule in LECTURE else " *")]
        for name in SURFACES:
            own = {"kind": "surface", "where": name, "rule": rule}
            steps = arms.values("arrival", **own)
            cells.append(f"{np.mean(steps):,.0f}" if steps else "")
        first = arms.values("first_step", kind="slope", rule=rule)
        cells.append(f"{first[0]:.3g}" if first else "")
        tried = [row["rate"] for row in arms.tuning(rule)]
        rate, own = arms.tuned(rule), {"kind": "final", "rule": rule}
        edge = " edge" if tried and rate in (min(tried), max(tried)) else ""
        cells.append("" if rate is None else f"{rate:.2g}{edge}")
        cells.append(f"{min(tried):.2g}–{max(tried):.2g}" if tried else "")
        cells.append(_spread(arms.values("train_loss", **own), 3))
        cells.append(_spread(arms.values("accuracy", **own), 1))
        paces = arms.values("ms_per_step", **own)
        cells.append(f"{np.median(paces):.2f}" if paces else "")
        lines.append(cells)
    return columns, lines


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return ""
    interval = t_interval(values)
    half = f" ± {interval.half_width:.{digits}f}" if interval.count > 1 else ""
    return f"{interval.mean:.{digits}f}{half}"
