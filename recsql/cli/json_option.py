"""Options whose value is a JSON object."""

import json
import math
from typing import Any

from recsql.errors import InputError


def read_object(what: str, text: str, example: str) -> dict[str, Any]:
    """A JSON object, without the NaN, Infinity and numbers beyond a double that Python would take for numbers.

    Args:
        what: how the text is called, as ``--where {`` or the name of a file.
        text: what was given.
        example: what it might look like.

    Raises:
        InputError: it is no JSON object.
    """

    def refuse(constant: str) -> None:
        raise InputError(f"{what}: {constant} is no number of JSON.")

    def finite(number: str) -> float:
        value = float(number)
        if math.isinf(value):
            raise InputError(f"{what}: {number} is too large for a number.")
        return value

    try:
        found = json.loads(text, parse_constant=refuse, parse_float=finite)
    except ValueError as error:
        raise InputError(f"{what} is no JSON object, {error}: write it like '{example}'.") from None
    if not isinstance(found, dict):
        raise InputError(f"{what} is no JSON object: write it like '{example}'.")
    return found
