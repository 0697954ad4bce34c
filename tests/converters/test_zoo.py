"""keras.applications: a small member of most families by default, all 40 in the marked run."""

from __future__ import annotations

import pytest

from converters import zoo
from tests.support.keras_models import Keras


def assert_equal(row: zoo.Row) -> None:
    assert row.same, f"{row.name}: the .h5 file gives another model than the .keras file"
    assert not row.report.missing, row.report.missing
    assert row.passed, str(row.report)


#: Networks of the most layers; the marked run has them.
LARGE = {"DenseNet121", "InceptionResNetV2", "NASNetMobile"}


@pytest.mark.parametrize("name", [name for name in zoo.SMALL if name not in LARGE])
def test_a_small_member_of_each_family(name: str, keras: Keras) -> None:
    assert_equal(zoo.check(name, top=False))


@pytest.mark.slow
def test_the_whole_zoo(keras: Keras) -> None:
    names = zoo.networks()
    assert len(names) >= 40
    for row in zoo.rows(names):
        assert_equal(row)
