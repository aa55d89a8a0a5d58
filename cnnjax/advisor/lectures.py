"""What the lectures' tables say for a data set, beside what was measured."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cnnjax.advisor.advice import Advice, difference
from cnnjax.advisor.options import Option
from cnnjax.studies.resampling import Resampled
from cnnjax.studies.runs import Row
from cnnjax.transfer.decision_tables import Decision, Similarity, Size

SMALL = 1_000
"""Training images a class up to which a data set counts as small: "very little data" of the Keras
blog is 1,000 cats and 1,000 dogs."""
LARGE = 10_000
"""From which it counts as large: "if you have 10,000 dogs and 10,000 cats you may get more value
from longer and deeper fine-tuning" (lecture 2)."""


class Likeness(NamedTuple):
    """How similar the images are to those that the network was trained on.

    Attributes:
      similarity: as the lectures' tables have it; None where the rows do not tell.
      why: in a sentence.
    """

    similarity: Similarity | None
    why: str


class Counsel(NamedTuple):
    """One lecture's advice, beside what was measured.

    Attributes:
      decision: the cell of the table.
      options: the options that follow it and were measured.
      best: of them, the one of the highest accuracy; None where none was measured.
      agrees: whether what is recommended follows it.
      behind: the accuracy of what is recommended less that of `best`, paired, in points.
    """

    decision: Decision
    options: tuple[str, ...]
    best: str | None
    agrees: bool
    behind: Resampled | None


def size_of(per_class: float) -> Size:
    """The size of a data set with so many training images a class, as the tables have it."""
    return "small" if per_class <= SMALL else "large" if per_class >= LARGE else "medium"


def estimate(
    rows: Sequence[Row], advice: Advice, options: Mapping[str, Option], test_to_train: float
) -> Likeness:
    """A stand-in for similarity: how deep the features are that serve these images best.

    "Different" where some earlier stage's probe is better than that of the last one and the 95 %
    interval of their paired difference excludes 0. It asks what the tables want to know by it,
    whether the late, specific features fit, and not what the images look like.
    """
    probes = [name for name, option in options.items() if option.stage is not None]
    standings = [one for name in probes if (one := advice.standing(name)) is not None]
    if len(standings) < max(2, len(probes)):
        return Likeness(None, "not estimated: probes were not measured at every stage")
    best = max(standings, key=lambda one: one.accuracy.mean).option
    deepest, stage = options[probes[-1]].stage, options[best].stage
    lead = difference(rows, best, probes[-1], test_to_train=test_to_train)
    interval = lead.interval()
    if best == probes[-1] or not interval.low > 0:
        return Likeness(
            "similar",
            f"estimated: no earlier stage serves these images better than {deepest}, the last in "
            "front of the head, beyond the noise",
        )
    return Likeness(
        "different",
        f"estimated: the features of {stage} serve these images better than those of {deepest}, "
        f"the last in front of the head, by {interval} points",
    )


def follows(decision: Decision, options: Mapping[str, Option]) -> tuple[str, ...]:
    """The options that do what a lecture advises.

    Of the stages in front of the head the first half counts as early; the last few that are
    trained are at most half of all; "several" means any number, or all.
    """
    probes = [name for name, option in options.items() if option.stage is not None]
    few = max(2, max(option.last for option in options.values()) // 2)
    match decision.case, decision.stages:
        case 1, "early":
            return tuple(probes[: len(probes) // 2])
        case 1, _:
            return tuple(probes[-1:])
        case 2, "last":
            return tuple(n for n, o in options.items() if o.case == 2 and o.last <= few)
        case 2, _:
            return tuple(n for n, o in options.items() if o.case in (2, 3))
    return tuple(n for n, o in options.items() if o.case == decision.case)


def compare(
    decision: Decision,
    advice: Advice,
    options: Mapping[str, Option],
    rows: Sequence[Row],
    test_to_train: float,
) -> Counsel:
    """One lecture's advice, beside what was measured of it."""
    named = follows(decision, options)
    measured = [one for name in named if (one := advice.standing(name)) is not None]
    agrees = advice.chosen in named
    if not measured:
        return Counsel(decision, named, None, agrees, None)
    best = max(measured, key=lambda one: one.accuracy.mean)
    behind = difference(rows, advice.chosen, best.option, test_to_train=test_to_train)
    return Counsel(decision, named, best.option, agrees, behind)
