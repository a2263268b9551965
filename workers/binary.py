"""Lists and vectors to and from tables in PostgreSQL's binary form, without a Python object for each value."""

from collections.abc import Mapping
from typing import Any, LiteralString

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_OIDS = {np.dtype(np.int32): 23, np.dtype(np.float32): 700}
_HEAD = 12
"""Numbers of 2 bytes before the first element of a list: bytes, dimensions, flags, type, length, first index."""


def read_lists(
    connection: psycopg.Connection[Any], query: LiteralString, parameters: Mapping[str, Any], types: Mapping[str, Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[NDArray[Any]]]:
    """Read rows of a key and lists of equal length.

    Args:
        connection: any.
        query: gives one row: ``array_send`` of the array of all keys, ``array_send`` of that of all lengths, and for
            each column of lists its ``array_send``, all after each other; no list may be empty. Of a column whose
            numbers are exact in single precision, ``vector_send`` may stand in its place.
        parameters: of the query.
        types: NumPy type of each column of lists, of 4 or 8 bytes, by its name.

    Returns:
        Keys and lengths, shape ``(n_lists,)``, and of each column the values of all lists after each other, shape
        ``(sum of lengths,)``.
    """
    row = _one_row(connection, query, parameters)
    if row is None:
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing, [np.empty(0, dtype=kind) for kind in types.values()]
    keys, lengths = (_array(blob, np.int32).astype(np.int64) for blob in row[:2])
    return keys, lengths, [_elements(blob, lengths, kind) for blob, kind in zip(row[2:], types.values(), strict=True)]


def read_arrays(
    connection: psycopg.Connection[Any], query: LiteralString, parameters: Mapping[str, Any], types: Mapping[str, Any]
) -> list[NDArray[Any]]:
    """Read columns.

    Args:
        connection: any.
        query: gives one row: for each column ``array_send`` of the array of all its values, none of them null.
        parameters: of the query.
        types: NumPy type of each column, of 4 or 8 bytes, by its name.

    Returns:
        Each column, shape ``(n_rows,)``, all in the same order.
    """
    row = _one_row(connection, query, parameters)
    if row is None:
        return [np.empty(0, dtype=kind) for kind in types.values()]
    return [_array(blob, kind) for blob, kind in zip(row, types.values(), strict=True)]


def _one_row(
    connection: psycopg.Connection[Any], query: LiteralString, parameters: Mapping[str, Any]
) -> tuple[bytes, ...] | None:
    """What a query of aggregates gives; None where there was nothing to aggregate."""
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(query, parameters).fetchone()
    return None if row is None or row[0] is None else row


def _array(blob: bytes, kind: Any) -> NDArray[Any]:
    """Elements of one array as ``array_send`` gives it."""
    return _elements(blob, np.array([(len(blob) - 20) // (4 + np.dtype(kind).itemsize)]), kind)


def _elements(blob: bytes, lengths: NDArray[np.int64], kind: Any) -> NDArray[Any]:
    """Elements of arrays or vectors as their functions send them."""
    wide = np.dtype(kind).itemsize // 4
    # In numbers of 4 bytes: of an array 5, and each element behind its length; of a vector 1, and the elements.
    is_vectors = len(blob) == 4 * (len(lengths) + lengths.sum())
    n_before, n_each = (1, 1) if is_vectors else (5, 1 + wide)
    numbers = np.frombuffer(blob, dtype=">f4" if is_vectors else ">i4")
    ends = np.cumsum(n_before + n_each * lengths)
    is_element = np.ones(len(numbers), dtype=bool)
    is_element[np.subtract.outer(ends - n_each * lengths, np.arange(1, n_before + 1))] = False
    elements = numbers[is_element]
    if not is_vectors:
        elements = elements.reshape(-1, n_each)[:, 1:].copy().view(np.dtype(kind).newbyteorder(">")).ravel()
    return elements.astype(kind)


def within(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the elements in their lists, which lie after each other: 0, 1, … for each length."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def write_lists(
    connection: psycopg.Connection[Any],
    table: str,
    numbers: Mapping[str, NDArray[np.integer] | int],
    lists: Mapping[str, NDArray[Any]],
    lengths: NDArray[np.int64],
) -> None:
    """Append rows of numbers and lists to a table of schema ``recsql``.

    Args:
        connection: the caller's transaction decides when the rows are seen.
        table: name without schema.
        numbers: shape ``(n_rows,)`` or one for all rows, by name of a column of type integer.
        lists: of each column of type ``integer[]`` or ``real[]`` the values of all rows after each other, int32 or
            float32.
        lengths: of each row's lists, at least 1, shape ``(n_rows,)``.
    """
    if len(lengths):
        _copy(connection, table, [*numbers, *lists], _list_rows(numbers, lists, lengths))


def _list_rows(
    numbers: Mapping[str, NDArray[np.integer] | int], lists: Mapping[str, NDArray[Any]], lengths: NDArray[np.int64]
) -> bytes:
    """Rows as COPY reads them: number of columns, then of each column how many bytes it has, and those."""
    # In numbers of 2 bytes, of which everything is a multiple: of each row the numbers and the first list's head, the
    # first list's elements, the next one's head, its elements, …
    n_rows, n_before = len(lengths), 1 + 4 * len(numbers)
    heads = np.zeros((n_rows, n_before + _HEAD * len(lists)), dtype=">i2")
    heads[:, 0] = len(numbers) + len(lists)
    for nth, column in enumerate(numbers.values()):
        heads[:, 1 + 4 * nth : 5 + 4 * nth] = _quartets(n_rows, column)
    for nth, values in enumerate(lists.values()):
        head = np.zeros((n_rows, _HEAD // 2), dtype=">i4")
        head[:, 0] = 2 * (_HEAD - 2) + 8 * lengths
        head[:, 1], head[:, 3], head[:, 4], head[:, 5] = 1, _OIDS[values.dtype], lengths, 1
        begin = n_before + _HEAD * nth
        heads[:, begin : begin + _HEAD] = head.view(">i2")
    # Whole slices, which are copied faster than their elements by index.
    before = memoryview(heads.tobytes())
    elements = [memoryview(_quartets(len(values), values.view(np.int32)).tobytes()) for values in lists.values()]
    cuts = [0, *(2 * (n_before + _HEAD * (nth + 1)) for nth in range(len(lists)))]
    slices: list[memoryview] = []
    start = 0
    for row, stop in zip(range(0, len(before), cuts[-1]), (8 * np.cumsum(lengths)).tolist(), strict=True):
        for nth, values in enumerate(elements):
            slices += before[row + cuts[nth] : row + cuts[nth + 1]], values[start:stop]
        start = stop
    return b"".join(slices)


def _quartets(n: int, values: NDArray[np.integer] | int) -> NDArray[Any]:
    """Numbers of 4 bytes, each behind how many bytes it has, as four numbers of 2 bytes, shape ``(n, 4)``."""
    pairs = np.empty((n, 2), dtype=">i4")
    pairs[:, 0], pairs[:, 1] = 4, values
    return pairs.view(">i2")


def read_vectors(
    connection: psycopg.Connection[Any],
    table: str,
    key: str,
    version_no: int,
    between: tuple[int, int] = (0, 2**31 - 1),
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Read the vectors of a model version.

    Args:
        connection: any.
        table: ``item_vector`` or ``user_vector``.
        key: its column of database keys.
        version_no: the model version.
        between: the smallest and the largest key to read.

    Returns:
        Keys, ascending, shape ``(n_rows,)``, and vectors, shape ``(n_rows, dim)``.
    """
    query = sql.SQL(
        "select {key}, embedding from {table} where version_no = {version} and {key} between {first} and {last} "
        "order by {key}"
    ).format(
        key=sql.Identifier(key),
        table=sql.Identifier("recsql", table),
        version=sql.Literal(version_no),
        first=sql.Literal(between[0]),
        last=sql.Literal(between[1]),
    )
    return read_keyed_vectors(connection, query)


def read_keyed_vectors(
    connection: psycopg.Connection[Any],
    query: LiteralString | sql.Composed,
    parameters: Mapping[str, Any] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Read a query's rows of a key and a vector, all of one dimension.

    Returns:
        Keys, shape ``(n_rows,)``, and vectors, shape ``(n_rows, dim)``, in the order of the query.
    """
    text = sql.SQL(query) if isinstance(query, str) else query
    statement = sql.SQL("copy ({}) to stdout (format binary)").format(text)
    with connection.cursor() as cursor, cursor.copy(statement, parameters) as copy:
        blob = b"".join(copy)[len(_HEADER) : -len(_TRAILER)]
    if not blob:
        return np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32)
    dim = int.from_bytes(blob[14:16], "big")
    rows = np.frombuffer(blob, dtype=_vector_row(dim))
    return rows["key"].astype(np.int64), rows["vector"].astype(np.float32)


def write_vectors(
    connection: psycopg.Connection[Any],
    table: str,
    key: str,
    version_no: int,
    keys: NDArray[np.integer],
    vectors: NDArray[np.floating],
) -> int:
    """Append the vectors of a model version; rows of NaN, of which the model knows nothing, are left out.

    Args:
        connection: in autocommit mode or a transaction.
        table: ``item_vector`` or ``user_vector``.
        key: its column of database keys.
        version_no: the model version.
        keys: database keys, shape ``(n_rows,)``.
        vectors: shape ``(n_rows, dim)``.

    Returns:
        The number of rows written.
    """
    return _write_keyed(connection, table, version_no, {key: keys}, vectors)


def write_state_vectors(
    connection: psycopg.Connection[Any],
    version_no: int,
    user_nos: NDArray[np.integer],
    n_before: NDArray[np.integer],
    vectors: NDArray[np.floating],
) -> int:
    """Append the vectors that users had at some states; rows of NaN are left out.

    Args:
        connection: in autocommit mode or a transaction.
        version_no: the model version.
        user_nos: shape ``(n_rows,)``.
        n_before: how many interactions of the user a state is of, shape ``(n_rows,)``.
        vectors: shape ``(n_rows, dim)``.

    Returns:
        The number of rows written.
    """
    return _write_keyed(connection, "state_vector", version_no, {"user_no": user_nos, "n_before": n_before}, vectors)


def write_attributions(
    connection: psycopg.Connection[Any],
    version_no: int,
    user_nos: NDArray[np.integer],
    item_nos: NDArray[np.integer],
    differences: NDArray[np.floating],
) -> int:
    """Append what items of users add to the users' vectors by a model version; rows of NaN are left out.

    Args:
        connection: in autocommit mode or a transaction.
        version_no: the model version.
        user_nos: shape ``(n_rows,)``.
        item_nos: shape ``(n_rows,)``.
        differences: shape ``(n_rows, dim)``.

    Returns:
        The number of rows written.
    """
    return _write_keyed(connection, "attribution", version_no, {"user_no": user_nos, "item_no": item_nos}, differences)


def _write_keyed(
    connection: psycopg.Connection[Any],
    table: str,
    version_no: int,
    keys: Mapping[str, NDArray[np.integer]],
    vectors: NDArray[np.floating],
) -> int:
    is_known = ~np.isnan(vectors).any(axis=1)
    pairs = [(f"{name}_pair", ">i4", 2) for name in keys]
    rows = np.zeros(
        int(is_known.sum()), dtype=[("version", ">i4", 2), *pairs, *_vector_row(vectors.shape[1]).descr[3:]]
    )
    rows["version"] = 4, version_no
    for name, values in keys.items():
        rows[f"{name}_pair"][:, 0], rows[f"{name}_pair"][:, 1] = 4, values[is_known]
    rows["bytes"], rows["dim"], rows["vector"] = 4 + 4 * vectors.shape[1], vectors.shape[1], vectors[is_known]
    n_columns = np.full(len(rows), 2 + len(keys), dtype=">i2")
    packed = np.concatenate([_bytes(n_columns), _bytes(rows)], axis=1)
    if len(rows):
        _copy(connection, table, ["version_no", *keys, "embedding"], packed.tobytes())
    return len(rows)


def _vector_row(dim: int) -> np.dtype[Any]:
    return np.dtype(
        [
            ("n_columns", ">i2"),
            ("key_bytes", ">i4"),
            ("key", ">i4"),
            ("bytes", ">i4"),
            ("dim", ">i2"),
            ("unused", ">i2"),
            ("vector", ">f4", dim),
        ]
    )


def _bytes(rows: NDArray[Any]) -> NDArray[np.uint8]:
    return rows.view(np.uint8).reshape(len(rows), -1)


def _copy(connection: psycopg.Connection[Any], table: str, columns: list[str], rows: bytes) -> None:
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        sql.Identifier("recsql", table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_HEADER)
        copy.write(rows)
        copy.write(_TRAILER)
