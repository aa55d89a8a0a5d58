"""What the advisor's rows come to: an entry an option, the advice, and what the lectures say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple

from cnnjax.advisor.advice import Advice, advise, difference
from cnnjax.advisor.options import Option
from cnnjax.studies.resampling import Resampled, resampled
from cnnjax.studies.runs import Row
from cnnjax.transfer.decision_tables import Decision, Similarity, Size, recommend

SMALL = 1_000
"""Training images a class up to which a data set counts as small: "very little data" of the Keras
blog is 1,000 cats and 1,000 dogs."""
LARGE = 10_000
"""From which it counts as large: "if you have 10,000 dogs and 10,000 cats you may get more value
from longer and deeper fine-tuning" (lecture 2)."""


class Entry(NamedTuple):
    """One option as it was measured.

    Attributes:
      option: its name, label, case and cost.
      accuracy: in %, over the splits done; None where there are none.
      loss: paired, against the best, in points; None where it was not measured on every split.
      splits: done.
      parameters: trained, those of a probe's classifier included.
      seconds: of one training, the features of frozen stages included.
      estimate: seconds that were missing in the budget, where it was left out; 0 elsewhere.
    """

    option: Option
    accuracy: Resampled | None
    loss: Resampled | None
    splits: int
    parameters: int | None
    seconds: float | None
    estimate: float


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


@dataclass(frozen=True)
class Summary:
    """All that the page says, from the rows alone.

    Attributes:
      entries: an option each, cheapest first.
      advice: the choice.
      size: of the data set, as the lectures' tables have it.
      likeness: of the images.
      counsels: of the lectures.
      disagreement: among the lectures, in a sentence; "" where there is none.
      silent: the tables that have no answer.
    """

    entries: tuple[Entry, ...]
    advice: Advice
    size: Size
    likeness: Likeness
    counsels: tuple[Counsel, ...]
    disagreement: str
    silent: tuple[str, ...]

    def entry(self, option: str) -> Entry:
        """That of an option."""
        return next(entry for entry in self.entries if entry.option.name == option)

    @property
    def chosen(self) -> Entry:
        """The option that is recommended."""
        return self.entry(self.advice.chosen)


def summarise(
    rows: Sequence[Row],
    options: Mapping[str, Option],
    *,
    splits: int,
    test_to_train: float,
    margin: float,
    per_class: float,
    similarity: Literal["similar", "different"] | None,
    left_out: Mapping[str, float],
    stage_seconds: Mapping[str, float],
) -> Summary:
    """Makes the summary.

    Args:
      rows: of results.
      options: by name, cheapest first.
      splits: that a whole option has.
      test_to_train: n_test / n_train.
      margin: points of accuracy that are of no consequence.
      per_class: training images a class.
      similarity: as the user says; estimated where it is None.
      left_out: {option: estimated seconds}.
      stage_seconds: of the forward pass of one image.

    Raises:
      CnnjaxError: no option was measured on every split.
    """
    costs = {name: option.cost for name, option in options.items()}
    advice = advise(rows, costs, splits, test_to_train, margin)
    entries = tuple(
        _entry(option, rows, advice, test_to_train, left_out.get(name, 0.0), stage_seconds)
        for name, option in options.items()
    )
    size: Size = "small" if per_class <= SMALL else "large" if per_class >= LARGE else "medium"
    likeness = (
        Likeness(similarity, "as --similarity says")
        if similarity
        else estimate(rows, advice, options, test_to_train)
    )
    counsels, disagreement, silent = (), "", ()
    if likeness.similarity is not None:
        said = recommend(size, likeness.similarity)
        counsels = tuple(
            _counsel(one, advice, options, rows, test_to_train) for one in said.decisions
        )
        disagreement, silent = said.disagreement, said.silent
    return Summary(entries, advice, size, likeness, counsels, disagreement, silent)


def _entry(
    option: Option,
    rows: Sequence[Row],
    advice: Advice,
    test_to_train: float,
    estimate: float,
    stage_seconds: Mapping[str, float],
) -> Entry:
    mine = [row for row in rows if row["option"] == option.name]
    if not mine:
        return Entry(option, None, None, 0, None, None, estimate)
    standing = advice.standing(option.name)
    return Entry(
        option,
        resampled([row["accuracy"] for row in mine], test_to_train),
        standing and standing.loss,
        len(mine),
        mine[0]["parameters"],
        # The median over the splits forgets the first, which compiles; frozen stages are passed
        # once for each image.
        median(row["seconds"] for row in mine)
        + option.images * sum(stage_seconds.get(stage, 0.0) for stage in option.frozen),
        estimate,
    )


def seconds_of(curves: Sequence[Row]) -> dict[str, float]:
    """{stage: seconds of its forward pass for one image}, from the rows of the curves."""
    return {row["stage"]: row["seconds_per_image"] for row in curves}


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


def _counsel(
    decision: Decision,
    advice: Advice,
    options: Mapping[str, Option],
    rows: Sequence[Row],
    test_to_train: float,
) -> Counsel:
    named = follows(decision, options)
    measured = [one for name in named if (one := advice.standing(name)) is not None]
    agrees = advice.chosen in named
    if not measured:
        return Counsel(decision, named, None, agrees, None)
    best = max(measured, key=lambda one: one.accuracy.mean)
    behind = difference(rows, advice.chosen, best.option, test_to_train=test_to_train)
    return Counsel(decision, named, best.option, agrees, behind)
