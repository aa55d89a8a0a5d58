"""The README's promises."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs_as_printed():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["net"].stages[0] == "conv1"
    assert names["logits"].shape == (8, 10)
    assert (names["logits"] == names["net"].apply(names["variables"], names["images"])).all()


def test_every_file_it_links_to_is_there():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_both_commands_install_before_they_run():
    commands = [line for line in README.splitlines() if line.startswith("test -d .venv")]
    assert len(commands) == 2
    assert all("pip install" in command for command in commands)
