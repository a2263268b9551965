"""Options that are JSON objects."""

import pytest

from recsql.cli.json_option import read_object
from recsql.errors import InputError


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "--where { is no JSON object, Expecting property name"),
        ("[1]", r"--where \[1\] is no JSON object: write it like '{\"a\": 1}'"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ('{"a": -Infinity}', "-Infinity is no number of JSON"),
        ('{"a": [1e999]}', "1e999 is too large for a number"),
        ("", "is no JSON object"),
    ],
)
def test_read_object_refuses_and_says_what_to_write(text, reason):
    with pytest.raises(InputError, match=reason):
        read_object(f"--where {text}", text, '{"a": 1}')


def test_read_object_takes_an_object():
    assert read_object("--where …", '{"a": [1, {"b": null}]}', "{}") == {"a": [1, {"b": None}]}
