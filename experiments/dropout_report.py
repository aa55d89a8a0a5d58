"""What the dropout study found: the table and the claims, from the rows of `results.csv` alone."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from cnnjax.studies.runs import Row
from cnnjax.studies.statistics import Claim, Interval, above, paired, t_interval, values

MARGIN = 0.5
"""Points of test error within which two arms count as alike."""
PUBLISHED = {
    "architectures-3x1024-dropout": "1.06",
    "regularisers-L2": "1.62",
    "regularisers-max-norm": "1.35",
    "regularisers-dropout-L2": "1.25",
    "regularisers-dropout-max-norm": "1.05",
    "convolutional-none": "14.98 (CIFAR-10)",
    "convolutional-fully-connected": "14.32 (CIFAR-10)",
    "convolutional-all": "12.61 (CIFAR-10)",
}
"""Test error in % in the paper's tables 2, 3 and 9; on MNIST where nothing else is said. Its
convolutional network without dropout is that of Snoek et al. 2012."""

Cells = dict[str, object]


def line_of(row: Row) -> str:
    """The line of a finished run."""
    if row["error"] is None:
        return f"mean activation {row['mean_activation']:.2f}"
    return f"{row['error']:.2f} % error"


def judge(rows: Sequence[Row]) -> list[Claim]:
    """All claims that the parts at hand can decide."""
    return [
        claim
        for part in (
            _of_architectures,
            _of_rates,
            _of_sizes,
            _of_regularisers,
            _of_sparsity,
            _of_samples,
            _of_convolutions,
        )
        for claim in part(rows)
    ]


def summarise(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The table: columns, and a line for each arm."""
    by_arm: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_arm.setdefault((str(row["part"]), str(row["arm"])), []).append(row)
    lines = []
    for (part, arm), mine in by_arm.items():
        if part == "sparsity":
            found = [
                f"{np.mean([row[name] for row in mine]):.3g}"
                for name in ("loss", "mean_activation", "zeros")
            ]
            what = "squared error a pixel {}, activation {}, zeros {} %".format(*found)
        else:
            interval = t_interval([float(row["error"]) for row in mine])
            bar = f" ± {interval.half_width:.2f}" if interval.count > 1 else ""
            what = f"{interval.mean:.2f}{bar}"
        first = mine[0]
        published = PUBLISHED.get(f"{part}-{arm}", "")
        lines.append([part, arm, str(first["architecture"]), f"{first['p']:g}", what, published])
    return ["part", "arm", "layers", "p", "test error (%)", "the paper"], lines


def errors(rows: Sequence[Row], **cells: object) -> list[float]:
    """Test errors in % of the runs with these cells, in the order of the seeds."""
    return [error for _, error in sorted(values(rows, "error", **cells).items())]


def distinct(rows: Sequence[Row], column: str, **cells: object) -> list:
    """The values of a column in the rows with these cells, in order, each once."""
    found = [row[column] for row in rows if all(row[k] == v for k, v in cells.items())]
    return list(dict.fromkeys(found))


def gain(rows: Sequence[Row], part: str, **cells: object) -> dict[object, float]:
    """{seed: points of test error by which dropout is below none}."""
    without = values(rows, "error", part=part, method="none", **cells)
    dropped = values(rows, "error", part=part, method="dropout", **cells)
    return {seed: without[seed] - dropped[seed] for seed in sorted(without.keys() & dropped)}


def within(interval: Interval, margin: float) -> str:
    """The verdict on "is no further from 0 than the margin"."""
    if -margin < interval.low and interval.high < margin:
        return "supported"
    return "contradicted" if interval.low > margin or interval.high < -margin else "undecided"


def _claim(
    statement: str,
    differences: Sequence[float],
    what: str,
    verdict: Callable[[Interval], str] = above,
) -> Iterator[Claim]:
    """One claim, with two decimals; none where there are no pairs to judge it by."""
    if len(differences):
        found = t_interval(differences)
        numbers = f"{found.mean:+.2f}"
        numbers += f" [{found.low:+.2f}, {found.high:+.2f}]" if found.count > 1 else " (one value)"
        yield Claim(statement, verdict(found), f"{what}: {numbers}")


def _above(
    rows: Sequence[Row], measure: str, statement: str, plus: Cells, minus: Cells, what: str
) -> Iterator[Claim]:
    yield from _claim(statement, paired(rows, measure, plus, minus), what)


def _mean_over(tables: Sequence[dict[object, float]]) -> dict[object, float]:
    """{seed: mean over the tables} of the seeds that all of them have."""
    seeds = set.intersection(*(set(table) for table in tables)) if tables else set()
    return {seed: float(np.mean([table[seed] for table in tables])) for seed in sorted(seeds)}


def _of_architectures(rows: Sequence[Row]) -> Iterator[Claim]:
    part = {"part": "architectures"}
    names = distinct(rows, "architecture", **part)
    gains = _mean_over([gain(rows, "architectures", architecture=name) for name in names])
    yield from _claim(
        "Dropout lowers the test error (mean of the architectures)",
        list(gains.values()),
        "none − dropout",
    )
    by_name = {
        method: [values(rows, "error", **part, architecture=n, method=method) for n in names]
        for method in ("none", "dropout")
    }
    gaps = [
        min(table[seed] for table in by_name["none"])
        - max(table[seed] for table in by_name["dropout"])
        for seed in gains
    ]
    if len(names) > 1:
        yield from _claim(
            "Every architecture with dropout is below every one without (two clusters)",
            gaps,
            "best without − worst with",
        )


def _of_rates(rows: Sequence[Row]) -> Iterator[Claim]:
    part = {"part": "rate"}
    rates = sorted(distinct(rows, "p", **part))
    if 0.5 not in rates:
        return
    low, high = rates[0], rates[-1]
    fixed, middle = part | {"method": "n fixed"}, part | {"method": "n fixed", "p": 0.5}
    for p, why in ((low, "few units are kept"), (high, "nearly all are kept")):
        if p != 0.5:
            yield from _above(
                rows,
                "error",
                f"n fixed: the error rises where {why} (p = {p:g})",
                fixed | {"p": p},
                middle,
                f"p {p:g} − p 0.5",
            )
    if 0.8 in rates:
        yield from _claim(
            f"n fixed: the error is flat from p = 0.5 to 0.8 (within {MARGIN} points)",
            paired(rows, "error", fixed | {"p": 0.8}, middle),
            "p 0.8 − p 0.5",
            lambda interval: within(interval, MARGIN),
        )
    if low < 0.5:
        yield from _above(
            rows,
            "error",
            f"pn fixed: many units make up for a low p (p = {low:g})",
            fixed | {"p": low},
            part | {"method": "pn fixed", "p": low},
            "n fixed − pn fixed",
        )


def _of_sizes(rows: Sequence[Row]) -> Iterator[Claim]:
    sizes = sorted(distinct(rows, "train_images", part="size"))
    if len(sizes) < 3:
        return
    fewest, *middle, most = (gain(rows, "size", train_images=size) for size in sizes)
    between = _mean_over(middle)
    yield from _claim(
        f"With the fewest images ({sizes[0]}) dropout does not help (less than {MARGIN} points)",
        [-value for value in fewest.values()],
        "dropout − none",
        lambda interval: above(interval, -MARGIN),
    )
    for ends, statement, what in (
        (fewest, "The gain grows with more images", f"gain between − gain at {sizes[0]}"),
        (most, "and shrinks again with the most", f"gain between − gain at {sizes[-1]}"),
    ):
        pairs = [between[seed] - ends[seed] for seed in between if seed in ends]
        yield from _claim(statement, pairs, what)


def _of_regularisers(rows: Sequence[Row]) -> Iterator[Claim]:
    part = {"part": "regularisers"}
    best = "dropout + max-norm"
    for method, over in (
        (best, "none"),
        (best, "L2"),
        (best, "L1"),
        (best, "max-norm"),
        (best, "dropout + L2"),
        ("max-norm", "L2"),
    ):
        yield from _above(
            rows,
            "error",
            f"{method} is better than {over}",
            part | {"method": over},
            part | {"method": method},
            f"{over} − {method}",
        )


def _of_sparsity(rows: Sequence[Row]) -> Iterator[Claim]:
    none, dropped = ({"part": "sparsity", "method": method} for method in ("none", "dropout"))
    up, down = "dropout − none", "none − dropout"
    lower = "Dropout lowers the mean activation of hidden units"
    yield from _above(rows, "mean_activation", lower, none, dropped, f"activation, {down}")
    more = "Dropout makes more of the activations exactly 0"
    yield from _above(rows, "zeros", more, dropped, none, f"points of zeros, {up}")
    local = "Features learnt with dropout cover fewer pixels"
    yield from _above(rows, "spread", local, none, dropped, f"points of pixels, {down}")


def _of_samples(rows: Sequence[Row]) -> Iterator[Claim]:
    mine = [row for row in rows if row["part"] == "monte-carlo"]
    yield from _claim(
        f"Weight scaling is as good as the mean of 50 sampled networks (within {MARGIN} points)",
        [row["error"] - row["error_50_samples"] for row in mine],
        "scaling − 50 samples",
        lambda interval: within(interval, MARGIN),
    )
    yield from _claim(
        "Weight scaling is better than one sampled network",
        [row["error_1_sample"] - row["error"] for row in mine],
        "1 sample − scaling",
    )


def _of_convolutions(rows: Sequence[Row]) -> Iterator[Claim]:
    none, connected, everywhere = (
        {"part": "convolutional", "method": method}
        for method in ("none", "fully connected", "all layers")
    )
    for statement, plus, minus, what in (
        ("Dropout in fully connected layers helps", none, connected, "none − fully connected"),
        ("In all layers it helps more", connected, everywhere, "fully connected − all layers"),
    ):
        yield from _above(rows, "error", f"Convolutional nets: {statement}", plus, minus, what)
