"""Arrays to and from tables: COPY with Arrow's CSV, so that millions of rows need no Python object each."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any, cast

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql


def read_columns(
    connection: psycopg.Connection[Any], query: str, parameters: Mapping[str, Any], types: Mapping[str, Any]
) -> list[NDArray[Any]]:
    """Read a query's columns as arrays, each of shape ``(n_rows,)``.

    Args:
        connection: any.
        query: text of a select without nulls, with named parameters.
        parameters: its parameters.
        types: NumPy type of each column, in order, by its name.
    """
    import pyarrow as pa
    from pyarrow import csv

    sink = BytesIO()
    # Named parameters of a COPY are merged on this side: they are numbers and short texts of our own.
    statement = cast(Any, f"copy ({query}) to stdout (format csv)")
    with connection.cursor() as cursor, cursor.copy(statement, parameters) as copy:
        for block in copy:
            sink.write(block)
    if not sink.tell():
        return [np.empty(0, dtype=kind) for kind in types.values()]
    sink.seek(0)
    arrow = {name: pa.from_numpy_dtype(kind) for name, kind in types.items() if np.dtype(kind) != np.bool_}
    convert = csv.ConvertOptions(
        column_types=arrow | {name: pa.bool_() for name in types if name not in arrow},
        true_values=["t"],
        false_values=["f"],
    )
    table = csv.read_csv(sink, csv.ReadOptions(column_names=list(types)), convert_options=convert)
    return [column.to_numpy() for column in table.columns]


def write_neighbours(
    connection: psycopg.Connection[Any],
    run_no: int,
    source_no: int,
    item_nos: NDArray[np.integer],
    neighbours: NDArray[np.integer],
    similarities: NDArray[np.floating],
) -> int:
    """Append each item's list of neighbours to ``item_similarity``; items without any are left out.

    Args:
        connection: in autocommit mode or a transaction.
        run_no: the run.
        source_no: the method.
        item_nos: database keys of the item rows, shape ``(n_items,)``, ascending.
        neighbours: item rows, the most similar first and ``-1`` behind the last, shape ``(n_items, n)``.
        similarities: of the same shape.

    Returns:
        The number of items that have neighbours.
    """
    lengths = (neighbours >= 0).sum(axis=1)
    columns = ("run_no", "source_no", "item_no", "neighbour_nos", "similarities")
    statement = sql.SQL("copy recsql.item_similarity ({}) from stdin (format binary)").format(
        sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(["int4", "int2", "int4", "int4[]", "float4[]"])
        for row in np.flatnonzero(lengths):
            found = item_nos[neighbours[row, : lengths[row]]].tolist()
            copy.write_row((run_no, source_no, int(item_nos[row]), found, similarities[row, : lengths[row]].tolist()))
    return int(np.count_nonzero(lengths))
