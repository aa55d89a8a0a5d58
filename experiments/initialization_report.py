"""What the study of initialisation found: the table and the claims.

All of it is made from the rows of `results.csv` and `curves.csv` alone.
"""

from collections.abc import Mapping, Sequence

from cnnjax.studies.runs import Row
from cnnjax.studies.statistics import Claim, judge, paired, t_interval, values

NAMES = {"sd0.01": "sd 0.01", "sd1": "sd 1", "xavier": "Xavier", "he": "He"}
KEPT = 0.25
"""log2 of a factor a layer below which a variance counts as kept: 2^0.25 = 1.19."""


def arm(activation: str, initialiser: str, layers: int) -> dict[str, object]:
    """The cells of the rows of one arm."""
    return {"activation": activation, "initialiser": initialiser, "layers": layers}


def over_guessing(rows: Sequence[Row], cells: Mapping[str, object]) -> list[float]:
    """Points by which the accuracy is above twice that of guessing, a value a seed."""
    found, classes = (values(rows, name, **cells) for name in ("accuracy", "classes"))
    return [found[seed] - 200 / classes[seed] for seed in sorted(found)]


def judge_all(rows: Sequence[Row]) -> list[Claim]:
    """The claims of the papers and of the lectures.

    They speak of 5, 10 and 30 layers; of the depths that were run the nearest stand for them.
    """
    depths = sorted({row["layers"] for row in rows})
    few, ten, thirty = (min(depths, key=lambda d: abs(d - want)) for want in (5, 10, 30))
    return [*_variances(rows, ten, thirty), *_trainings(rows, few, ten, thirty)]


def _variances(rows: Sequence[Row], ten: int, thirty: int) -> list[Claim]:
    def slopes(*key: object) -> list[tuple[float, float]]:
        """(forwards, backwards) of each seed: log2 of the factor from layer to layer."""
        ways = [values(rows, f"{way}_slope", **arm(*key)) for way in ("forward", "backward")]
        return [(ways[0][seed], ways[1][seed]) for seed in sorted(ways[0].keys() & ways[1])]

    flat = values(rows, "flat", **arm("tanh", "sd1", ten))
    decided = (
        (
            f"ReLU, He, {thirty} layers: activations and gradients keep their variance (He et al. "
            f"2015: factor 1 a layer), |log2| < {KEPT:g}",
            [100 * (KEPT - max(abs(a), abs(b))) for a, b in slopes("relu", "he", thirty)],
            f"100 × ({KEPT:g} − |log2 of the factor a layer|)",
        ),
        (
            f"ReLU, Xavier, {thirty} layers: both halve with each layer (He et al. 2015), log2 "
            f"within {KEPT:g} of −1",
            [
                100 * (KEPT - max(abs(1 + a), abs(1 + b)))
                for a, b in slopes("relu", "xavier", thirty)
            ],
            f"100 × ({KEPT:g} − |1 + log2 of the factor a layer|)",
        ),
        (
            f"tanh, Xavier, {ten} layers: neither changes by as much as a factor 2 a layer (Glorot "
            "and Bengio 2010, figures 6, 7)",
            [100 * (1 - max(abs(a), abs(b))) for a, b in slopes("tanh", "xavier", ten)],
            "100 × (1 − |log2 of the factor a layer|)",
        ),
        (
            f"tanh, sd 0.01, {ten} layers: both vanish, by more than a factor 2 a layer",
            [100 * (-1 - max(a, b)) for a, b in slopes("tanh", "sd0.01", ten)],
            "100 × (−1 − log2 of the factor a layer)",
        ),
        (
            f"tanh, sd 1, {ten} layers: most units are flat, with a derivative below 0.1",
            [flat[seed] - 50 for seed in sorted(flat)],
            "% of the units − 50",
        ),
    )
    return [judge(*claim) for claim in decided if claim[1]]


def _trainings(rows: Sequence[Row], few: int, ten: int, thirty: int) -> list[Claim]:
    def beats(activation: str, plus: str, minus: str, layers: int) -> list[float]:
        cells = (arm(activation, name, layers) for name in (plus, minus))
        return paired(rows, "accuracy", *cells)

    def fails(cells: Mapping[str, object]) -> list[float]:
        return [-x for x in over_guessing(rows, cells)]

    sigmoids = [fails(arm("sigmoid", name, ten)) for name in NAMES]
    return [
        judge(
            f"ReLU, {thirty} layers: He's can be trained (He et al. 2015, figure 3): more than "
            "twice guessing",
            over_guessing(rows, arm("relu", "he", thirty)),
            "accuracy − twice guessing",
        ),
        judge(
            "... and Xavier's stall: no more than twice guessing",
            fails(arm("relu", "xavier", thirty)),
            "twice guessing − accuracy",
        ),
        judge(
            f"ReLU, {ten} layers: both learn, He's faster (figure 2, 22 layers)",
            beats("relu", "he", "xavier", ten),
            "He − Xavier",
        ),
        judge(
            f"tanh, {few} layers: Xavier's do better than sd 0.01",
            beats("tanh", "xavier", "sd0.01", few),
            "Xavier − sd 0.01",
        ),
        judge(
            f"tanh, {ten} layers: Xavier's do better than sd 1",
            beats("tanh", "xavier", "sd1", ten),
            "Xavier − sd 1",
        ),
        judge(
            f"Sigmoids, {ten} layers: no initialisation lets them learn (Glorot and Bengio 2010: "
            "unsuited for deep networks with random initialization): no more than twice guessing",
            [min(group) for group in zip(*sigmoids, strict=True)],
            "twice guessing − the best accuracy",
        ),
    ]


def summarise(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The table: a line for each activation and depth, a column for each initialiser."""
    lines = []
    for activation, layers in dict.fromkeys((row["activation"], row["layers"]) for row in rows):
        cells = [f"{activation}, {layers} layers"]
        for initialiser in NAMES:
            found = values(rows, "accuracy", **arm(activation, initialiser, layers))
            interval = t_interval(list(found.values()))
            half = f" ± {interval.half_width:.1f}" if interval.count > 1 else ""
            cells.append(f"{interval.mean:.1f}{half}")
        lines.append(cells)
    return ["", *NAMES.values()], lines
