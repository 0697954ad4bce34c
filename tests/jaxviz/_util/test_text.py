"""Tables show names as they are, whatever terminal they are printed to."""

import pytest

from jaxviz._util.text import printable, table_lines


def test_a_table_is_never_cut(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    name = "a_long_name/of a nested model/" * 20
    assert table_lines([("layer", "units"), (name, "16")]) == [
        f"layer{' ' * (len(name) - 5)}  units",
        f"{name}     16",
    ]


@pytest.mark.parametrize("name", ["[bold]a[/bold]", "[/]", ":smile:", "https://a.b", "1.5 True"])
def test_markup_in_a_name_means_nothing(name):
    assert table_lines([(name, "1")]) == [f"{name}  1"]


def test_control_characters_are_spelled_out():
    assert table_lines([("a\x1b[31m\r\n\x07", "1")]) == [r"a\x1b[31m\r\n\x07  1"]
    assert printable("a\x1bb\nc") == "a\\x1bb\nc"


def test_columns_line_up_where_characters_are_wide():
    assert table_lines([("日本", "1"), ("conv", "2")]) == ["日本  1", "conv  2"]
