"""What the study of little data found: the table and the claims.

All of it is made from the rows of `results.csv` alone.
"""

from collections.abc import Iterable, Sequence

from cnnjax.studies.runs import Row
from cnnjax.studies.statistics import Claim, judge, paired, t_interval, values

COLUMNS = (
    *("run", "arm", "images", "seed", "accuracy", "trained_parameters", "steps"),
    *("seconds", "config_hash"),
)
CURVE_COLUMNS = ("run", "step", "train_accuracy", "test_accuracy")
LABELS = {
    "convnet": "small convnet, from scratch",
    "scratch": "the network, from scratch",
    "features": "classifier on its features",
    "last": "last stages fine-tuned",
    "everything": "all stages fine-tuned",
}
PUBLISHED = {"convnet": (79.0, 81.0), "features": (90.0, 91.0), "last": (94.0, 94.0)}
"""Validation accuracy in % on 2,000 training photos of cats and dogs (Chollet 2016)."""
PHOTOS = 2000


def sizes_of(rows: Sequence[Row]) -> list[int]:
    """Numbers of training images, increasing."""
    return sorted({int(row["images"]) for row in rows if row["arm"] in LABELS})


def is_the_blogs(rows: Sequence[Row], classes: int) -> bool:
    """Whether the published numbers may stand beside these: two classes, 2,000 images."""
    return classes == 2 and bool(rows) and sizes_of(rows)[-1] == PHOTOS


def judge_all(rows: Sequence[Row], classes: int) -> list[Claim]:
    """The blog's and the lectures' claims, decided by differences over the seeds.

    Args:
      rows: of the whole study.
      classes: of the data set.
    """
    claims: list[Claim] = []
    sizes = sizes_of(rows)
    few, many = sizes[0], sizes[-1]

    def difference(plus: str, minus: str, images: int) -> list[float]:
        arms = ({"arm": arm, "images": images} for arm in (plus, minus))
        return paired(rows, "accuracy", *arms)

    def add(statement: str, plus: str, minus: str, images: int) -> None:
        if found := difference(plus, minus, images):
            claims.append(judge(statement, found, f"{plus} − {minus}, {images:,} images"))

    if is_the_blogs(rows, classes):
        for arm, (low, _) in PUBLISHED.items():
            reached = independent(arm, values(rows, "accuracy", arm=arm, images=many).values())
            if reached:
                statement = f"{LABELS[arm].capitalize()}: at least {low:g} % (blog)"
                claims.append(judge(statement, [a - low for a in reached], f"{arm} − {low:g} %"))
    add(
        "A classifier on pretrained features is ahead of a small convnet from scratch "
        "(blog: 90 to 91 against 79 to 81 %)",
        "features",
        "convnet",
        many,
    )
    add("... and on few images", "features", "convnet", few)
    add("Fine-tuning the last stages adds to that (blog: 94 %)", "last", "features", many)
    add("... and on few images", "last", "features", few)
    more = [
        a - b
        for a, b in zip(
            difference("features", "convnet", few),
            difference("features", "convnet", many),
            strict=True,
        )
    ]
    if more and few != many:
        what = f"(features − convnet), {few:,} − {many:,} images"
        claims.append(judge("Pretraining brings more where there are fewer images", more, what))
    add(
        "On few images, fine-tuning the last stages is better than fine-tuning all (lecture 3)",
        "last",
        "everything",
        few,
    )
    add(
        "On few images, a small network learns more from scratch than a large one (blog)",
        "convnet",
        "scratch",
        few,
    )
    return claims


def independent(arm: str, found: Iterable[float]) -> list[float]:
    """One value of each seed; or a single one of a classifier on features where all are the same.

    It has no randomness of its own, and with all images of the data set every seed has the same
    training set: three equal numbers are one measurement then, not three.
    """
    found = list(found)
    return found[:1] if arm == "features" and len(set(found)) == 1 else found


def summarise(rows: Sequence[Row], classes: int) -> tuple[list[str], list[list[str]]]:
    """The table: a line for each arm, a column for each number of training images."""
    sizes = sizes_of(rows)
    columns = ["", *(f"{size:,} images" for size in sizes)]
    published = is_the_blogs(rows, classes)
    lines = []
    for arm, label in LABELS.items():
        found = [
            independent(arm, values(rows, "accuracy", arm=arm, images=size).values())
            for size in sizes
        ]
        if not any(found):
            continue
        lines.append([label, *(_short(group) for group in found)])
        if published:
            ends = [f"{end:g}" for end in dict.fromkeys(PUBLISHED.get(arm, ()))]
            lines[-1].append(" to ".join(ends))
    return [*columns, *(["published, 2,000 images"] if published else [])], lines


def _short(found: Sequence[float]) -> str:
    if not found:
        return ""
    interval = t_interval(found)
    half = f" ± {interval.half_width:.1f}" if interval.count > 1 else ""
    return f"{interval.mean:.1f}{half}"
