"""What the advisor says, as a table and as one HTML page."""

from matplotlib.figure import Figure

from cnnjax.advisor.figure import LABELS, draw
from cnnjax.advisor.summary import Entry, Summary
from cnnjax.advisor.texts import Facts, counsel_row, lectures, method, splits, verdict
from cnnjax.studies import page
from cnnjax.studies.budget import show_duration
from cnnjax.studies.figures import data_title

TABLE = (
    *("option", "case", "accuracy (%)", "95 % interval", "against the best (points)"),
    *("parameters trained", "time of one training"),
)


def figure(summary: Summary, facts: Facts) -> Figure:
    """The figure under its title."""
    return draw(
        summary,
        f"{data_title(facts.dataset)}: {facts.images:,} images of {facts.classes} classes, "
        f"{facts.network}, {splits(facts)}",
    )


COUNSEL = ("lecture", "its advice", "the best that follows it", "what is recommended, less that")


def table_rows(summary: Summary) -> list[tuple[str, ...]]:
    """A line an option, cheapest first; what was left out says so."""
    return [_row(entry, summary) for entry in summary.entries]


def _row(entry: Entry, summary: Summary) -> tuple[str, ...]:
    option = entry.option
    if entry.accuracy is None:
        time = f"left out: about {show_duration(entry.estimate)}" if entry.estimate else "left out"
        return option.label, str(option.case), "", "", time, "", ""
    interval = entry.accuracy.interval()
    within = "" if interval.low != interval.low else f"{interval.low:.1f} to {interval.high:.1f}"
    if option.name == summary.advice.best:
        loss = "the best"
    elif entry.loss is None:
        loss = "not on every split"
    else:
        loss = f"{-entry.loss.mean:+.1f}"
        loss += "" if entry.loss.error != entry.loss.error else f" ± {entry.loss.error:.1f}"
    return (
        option.label,
        str(option.case),
        f"{entry.accuracy.mean:.1f}",
        within,
        loss,
        f"{entry.parameters:,}",
        show_duration(entry.seconds),
    )


def html(summary: Summary, facts: Facts, drawn: Figure) -> str:
    """The whole page."""
    rows = table_rows(summary)
    marked = [entry.option.name for entry in summary.entries].index(summary.advice.chosen)
    first, *rest = verdict(summary, facts)
    parts = [
        page.box([page.paragraph(first, "lead"), *map(page.paragraph, rest)]),
        page.paragraph("To train it on all images but the test images, and measure it on those:"),
        page.command(facts.train),
        page.drawing(drawn, _caption(facts)),
        page.heading("Every option, cheapest first"),
        page.table(TABLE, rows, marked, texts=(4,)),
        *_left_out(summary, facts),
        page.heading("What the lectures' tables would have said"),
        *map(page.paragraph, lectures(summary, facts)),
        *(
            [
                page.table(
                    COUNSEL, [counsel_row(c, summary) for c in summary.counsels], None, (1, 2, 3)
                )
            ]
            if summary.counsels
            else []
        ),
        *(
            [page.paragraph(f"No answer in: {', '.join(summary.silent)}.", "note")]
            if summary.silent
            else []
        ),
        page.heading("How it was measured"),
        page.listing(method(summary, facts)),
        page.command(facts.command),
    ]
    return page.page(
        f"Which part of {facts.network} to keep for {data_title(facts.dataset)}", parts
    )


def _left_out(summary: Summary, facts: Facts) -> list[str]:
    missing = [entry for entry in summary.entries if entry.estimate]
    if not missing:
        return [page.paragraph("Nothing was left out.", "note")]
    names = ", ".join(entry.option.label for entry in missing)
    need = facts.spent + sum(entry.estimate for entry in missing)
    return [
        page.paragraph(
            f"Left out, as it would not have ended within {show_duration(facts.budget)}: {names}. "
            f"With --budget {_generous(need)} the same command goes on with it.",
            "note",
        )
    ]


def _generous(seconds: float) -> str:
    """A budget that is a little more, in minutes."""
    return f"{max(1, round(1.2 * seconds / 60 + 0.5))}m"


def _caption(facts: Facts) -> str:
    names = "; ".join(LABELS.values())
    return (
        f"Accuracy over {splits(facts)}, with intervals corrected for overlapping training sets. "
        f"Options from the cheapest to the most expensive: {names}."
    )
