"""What a benchmark found: its goals, how it is kept, and how it is shown."""

import xml.etree.ElementTree as ElementTree

import pytest

from bench import report, result
from bench.__main__ import main
from bench.drawing import drawn
from bench.result import Goal, Plot, Result, Table
from bench.rounds import Spread

PLOTS = [
    Plot("bars", "Reads & writes", "requests/s", bars={"ours": 13_000.0, "<theirs>": 420.0, "none": 0.0}),
    Plot("logarithmic", "Reads", "requests/s", bars={"ours": 13_000.0, "theirs": 0.4}, is_logarithmic=True),
    Plot("lines", "Latency", "ms", lines={"ours": [(0, 0.7), (10, 0.8)], "theirs": [(0, 1), (10, 9)]}, x_title="rows"),
    Plot("flat", "Backlog", "rows", lines={"ours": [(0, 0), (1, 0)]}, x_title="seconds"),
    Plot(
        "powers", "Latency", "ms", lines={"ours": [(1e3, 0.2), (1e6, 0.2)]}, is_logarithmic=True, is_x_logarithmic=True
    ),
]


def found() -> Result:
    rows = {"ours": {"reads/s": Spread(30.0, 20.0, 40.0)}, "theirs": {"reads/s": Spread(10.0, 10.0, 10.0)}}
    table = Table("Reads", rows, against="theirs", ratio_of="reads/s")
    return Result([table], [Goal("ours", 3.0, at_least=2)], PLOTS[:1], ["A note."], "one machine")


@pytest.mark.parametrize(
    ("found", "bounds", "is_met"),
    [
        (2.0, {"at_least": 2}, True),
        (1.99, {"at_least": 2}, False),
        (1.3, {"at_most": 1.3}, True),
        (1.31, {"at_most": 1.3}, False),
    ],
)
def test_goal_is_met_at_its_bound_and_not_beyond(found, bounds, is_met):
    assert Goal("", found, **bounds).is_met is is_met


def test_result_is_kept_as_it_was(tmp_path):
    result.save(found(), tmp_path / "folder" / "kept.json")
    kept = result.load(tmp_path / "folder" / "kept.json")
    assert report.text(kept) == report.text(found())
    assert (kept.tables[0], kept.goals[0], kept.where) == (found().tables[0], found().goals[0], "one machine")


def test_document_has_the_goals_the_table_and_the_plot_of_each_scenario(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "DOCS", tmp_path)
    monkeypatch.setattr(report, "FOLDER", tmp_path / "benchmarks")
    monkeypatch.setattr(report, "CONCLUSIONS", tmp_path / "none.md")
    result.save(found(), tmp_path / "benchmarks" / "read_by_id.json")
    report.write(["read_by_id", "size"])
    text = (tmp_path / "benchmarks.md").read_text()
    assert "| read_by_id | ours | **3** | at least 2 | met |" in text
    assert "| ours | **3** | 30 (20 to 40) |" in text
    assert "- read_by_id: one machine." in text
    assert "![Reads & writes](benchmarks/bars.svg)" in text
    assert (tmp_path / "benchmarks" / "bars.svg").exists()


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_plot_stands_alone(plot):
    root = ElementTree.fromstring(drawn(plot))
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {plot.title, *plot.bars, *plot.lines} <= set(texts)
    tags = {each.tag.rpartition("}")[2] for each in root.iter()}
    assert tags <= {"svg", "title", "style", "rect", "text", "line", "polyline", "circle"}
    assert "url(" not in drawn(plot)
    assert drawn(plot) == drawn(plot)


def test_unknown_scenario_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench", "read_by_name"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "no such scenario: read_by_name" in capsys.readouterr().err
