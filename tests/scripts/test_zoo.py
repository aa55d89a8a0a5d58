"""The tables of the zoo: that the committed ones are what the command makes."""

import csv
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import zoo
from zoo import PAGE, README, Config, Entry, between_marks, entry, facts, families, run, table

import cnnjax
from cnnjax import CnnjaxError

COUNTS = Path(__file__).parents[1] / "tables" / "parameters.csv"


def rows_of(path):
    """The cells of the table between the marks."""
    text = path.read_text(encoding="utf-8")
    inside = text.split(zoo.BEGIN)[1].split(zoo.END)[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in inside]


def published(name):
    """The count that tests/models/test_counts.py holds the network to, or a count."""
    image = cnnjax.create(name).image
    size = "x".join(map(str, image))
    with COUNTS.open(newline="") as file:
        for row in csv.DictReader(file):
            if (row["network"], row["arguments"], row["image"]) == (name, "", size):
                return int(row["parameters"])
    images = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    shapes = jax.eval_shape(cnnjax.create(name).init, jax.random.key(0), images)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def test_the_page_has_every_registered_network_with_its_count():
    found = {row[0].strip("`"): int(row[3].replace(",", "")) for row in rows_of(PAGE)}
    assert sorted(found) == cnnjax.list_models()
    assert found == {name: published(name) for name in found}


def test_the_page_says_of_each_how_many_stages_it_has():
    found = {row[0].strip("`"): int(row[6]) for row in rows_of(PAGE)}
    assert found == {name: len(cnnjax.create(name).stages) for name in cnnjax.list_models()}


def test_the_readme_has_every_registered_network_in_its_family():
    found = {row[0]: re.findall(r"`(\w+)`", row[1]) for row in rows_of(README)}
    assert sorted(name for own in found.values() for name in own) == cnnjax.list_models()
    for name, row in facts().items():
        assert name in found[row["family"]]


def test_every_published_accuracy_says_on_what_and_by_whom():
    for row in facts().values():
        assert row["paper"]
        assert bool(row["top1"]) == bool(row["data"]) == bool(row["source"]), row["network"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("\nlenet5,", "\nlenet6,", "no row for lenet5; add network and paper"),
        ("\nlenet5,", "\nlenet6,LeNet,x,,,\nlenet5,", "there is no network lenet6; mend the list"),
    ],
)
def test_a_network_without_a_row_and_a_row_without_a_network_are_told(tmp_path, old, new, words):
    path = tmp_path / "zoo.csv"
    path.write_text(zoo.FACTS.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(CnnjaxError, match=words):
        facts(path)


def test_counts_are_of_the_papers_image():
    found = entry(facts()["lenet5"])
    assert found[-4:] == ((32, 32, 1), 61_706, 416_520, 5)


def test_a_family_shows_its_smallest_and_largest():
    one = Entry("a", "F", "P", "90.04", "MNIST", "S", (8, 8, 1), 1_500, 2_000_000, 3)
    other = one._replace(network="b", top1="92", parameters=12_345_678, stages=12)
    silent = one._replace(network="c", top1="", data="", source="")
    assert families([one, other, silent]).splitlines()[2:] == [
        "| F | `a` `b` `c` | 1.5 k to 12.3 M | 2 M | 90.04 to 92 % on MNIST | 3 to 12 |"
    ]
    assert table([other]).splitlines()[2:] == [
        "| `b` | P | 8×8×1 | 12,345,678 | 2 M | 92 % on MNIST (S) | 12 |"
    ]


def test_the_command_writes_both_tables(tmp_path, monkeypatch, capsys):
    few = {name: facts()[name] for name in ("mlp", "lenet5")}
    monkeypatch.setattr(zoo, "facts", lambda: few)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{zoo.BEGIN}\nold\n{zoo.END}\nafter\n")
    run(Config(page=tmp_path / "zoo.md", readme=readme))
    assert [row[0] for row in rows_of(tmp_path / "zoo.md")] == ["`mlp`", "`lenet5`"]
    assert len(rows_of(readme)) == 2
    assert readme.read_text().startswith("before\n")
    assert readme.read_text().endswith("\nafter\n")
    assert "2 networks" in capsys.readouterr().out


def test_a_readme_without_marks_or_none_at_all_is_told_before_anything_is_counted(tmp_path):
    with pytest.raises(CnnjaxError, match=r"cannot read .*; give a file"):
        run(Config(readme=tmp_path / "none.md"))
    with pytest.raises(CnnjaxError, match="no place for the table; add the lines"):
        between_marks("text", "", "README.md")


@pytest.mark.slow  # minutes: every network is traced
def test_both_committed_tables_are_what_the_command_makes():
    entries = [entry(row) for row in facts().values()]
    assert PAGE.read_text(encoding="utf-8") == between_marks(zoo.HEAD, table(entries), "zoo.md")
    readme = README.read_text(encoding="utf-8")
    assert readme == between_marks(readme, families(entries), "README.md")
