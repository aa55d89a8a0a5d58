"""The tables that `ledger.py` prints."""

from lecture_counts import Fact, Value
from rich.table import Table

from cnnjax.models.ledger import Ledger, Row
from cnnjax.models.receptive_field import ReceptiveField


def ledger_table(title: str, counted: Ledger, said: list[Fact]) -> Table:
    """The rows and the totals; the column of the lectures only where they speak of a stage."""
    table = Table(title=title, title_justify="left", title_style="bold", show_footer=True)
    of_stages = [fact for fact in said if len(fact.stages) == 1]
    total = {name: counted.total(name) for name in ("parameters", "multiply_adds")}
    memory = [_size(counted.total(name)) for name in ("parameter_bytes", "kept_bytes")]
    table.add_column("stage", "total")
    table.add_column("output")
    table.add_column("receptive field")
    table.add_column("arithmetic", overflow="fold")
    table.add_column("parameters", f"{total['parameters']:,}", justify="right")
    table.add_column("multiply-adds", f"{total['multiply_adds']:,}", justify="right")
    table.add_column("memory", memory[0], justify="right")
    table.add_column("kept", memory[1], justify="right")
    if of_stages:
        table.add_column("lecture", overflow="fold")
    for row in counted.rows:
        cells = [
            row.stage,
            _maps(row),
            _sees(row.field),
            row.arithmetic,
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
            _size(row.parameter_bytes),
            _size(row.kept_bytes),
        ]
        if of_stages:
            cells.append(verdict([fact for fact in of_stages if fact.stages == (row.stage,)]))
        table.add_row(*cells)
    return table


def summary(counted: Ledger, said: list[Fact]) -> list[str]:
    """What there is to say below the table."""
    parameters = counted.total("parameters")
    parts = {
        "convolutions": counted.total("convolutional"),
        "fully connected": counted.total("dense"),
    }
    parts["other"] = parameters - sum(parts.values())
    shares = [f"{name} {n:,} ({_percent(n / parameters)})" for name, n in parts.items() if n]
    lines = [f"parameters: {', '.join(shares)}"] if shares else []
    if statistics := counted.total("statistics"):
        lines.append(f"kept beside the parameters: {statistics:,} running statistics")
    return lines + [
        f"lecture {fact.lecture}: {verdict([fact], agrees=f'{_printed(fact)}, agrees')}"
        for fact in said
        if len(fact.stages) != 1
    ]


def lectures_table(found: list[Fact]) -> Table:
    """All the facts."""
    table = Table(title="What the lectures print", title_justify="left", title_style="bold")
    for column in ("lecture", "slide", "of", "what", "prints"):
        table.add_column(column, overflow="fold")
    table.add_column("is", justify="right")
    table.add_column("verdict", overflow="fold")
    for fact in found:
        table.add_row(
            str(fact.lecture),
            fact.slide,
            f"{fact.network} {fact.arguments}".strip(),
            " ".join((*fact.stages, fact.quantity)),
            fact.printed,
            show(fact),
            "agrees" if fact.agrees() else fact.wrong,
        )
    return table


def verdict(said: list[Fact], agrees: str = "agrees") -> str:
    """What the slides got wrong, or `agrees`; nothing where they say nothing."""
    wrong = [
        f"{_printed(fact)}, is {show(fact)}: {fact.wrong}" for fact in said if not fact.agrees()
    ]
    return "; ".join(wrong) or (agrees if said else "")


def _printed(fact: Fact) -> str:
    several = len(fact.stages) > 1
    return " ".join(("prints", fact.quantity, *(fact.stages if several else ()), fact.printed))


def show(fact: Fact) -> str:
    """What is counted, for a person."""
    value: Value = fact.value()
    if isinstance(value, tuple):
        return times(value)
    if fact.quantity.startswith("size"):
        return _size(value)
    return _percent(value) if isinstance(value, float) else f"{value:,}"


def _maps(row: Row) -> str:
    same = row.maps is None or row.maps == row.output
    return times(row.output) if same else f"{times(row.maps)} → {times(row.output)}"


def _sees(field: ReceptiveField) -> str:
    if field.whole:
        return "all"
    every = "" if field.stride is None else f" every {_side(field.stride)}"
    return _side(field.size) + every


def _side(two: tuple[int, int]) -> str:
    return str(two[0]) if two[0] == two[1] else times(two)


def times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _size(n: int) -> str:
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if n >= size:
            return f"{n / size:,.1f} {unit}"
    return f"{n} B"
