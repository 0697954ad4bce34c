"""Every environment variable is listed, with a default that it accepts."""

import re
from pathlib import Path

import pytest

import jaxviz
from jaxviz._util.settings import SETTINGS, Setting
from jaxviz.errors import ConfigError

ROOT = Path(__file__).parents[3]


def test_every_variable_in_the_code_is_listed():
    used = set()
    for folder in (Path(jaxviz.__file__).parent, ROOT / "converters", ROOT / "scripts",
                   ROOT / "tests" / "support"):  # fmt: skip
        for file in filter(Path.is_file, folder.rglob("*")):
            if file.suffix in ("", ".py", ".md"):
                used |= set(re.findall(r"JAXVIZ_[A-Z]+", file.read_text(encoding="utf-8")))
    assert used - {"JAXVIZ_UNSET"} == {setting.name for setting in SETTINGS}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_setting_is_described(setting):
    assert setting.meaning.endswith(".")
    assert not setting.values or setting.default in setting.values


def test_a_setting_is_read_anew_each_time(monkeypatch):
    setting = Setting(name="JAXVIZ_TEST", meaning="For this test.", default="a", values=("a", "b"))
    monkeypatch.delenv("JAXVIZ_TEST", raising=False)
    assert setting.read() == "a"
    monkeypatch.setenv("JAXVIZ_TEST", "b")
    assert setting.read() == "b"
    monkeypatch.setenv("JAXVIZ_TEST", "c")
    with pytest.raises(ConfigError, match=r"JAXVIZ_TEST is 'c'\nExpected a or b"):
        setting.read()
