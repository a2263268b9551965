"""Vector searches on a catalogue that is worth an index: they use it, and find what an exact search finds."""

import numpy as np
import pytest

from recsql.db import connect

N_ITEMS = 21_000
N_USERS = 20
DIM = 32
HISTORY = 5
"""Events of each user."""


def text(vector):
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def structured(generator, n_rows):
    """Vectors of shape ``(n_rows, DIM)`` that vary in eight directions; independent ones have no neighbours to find."""
    directions = np.random.default_rng(0).standard_normal((8, DIM))
    vectors = generator.standard_normal((n_rows, 8)) @ directions + 0.1 * generator.standard_normal((n_rows, DIM))
    return vectors.astype(np.float32)


def fill(connection, statement, rows):
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def fill_vectors(connection, table, partition, columns, rows):
    """Copy vectors into a partition and then build its HNSW index: a fraction of the time of adding them one by one."""
    name, definition = connection.execute(
        "select s.indexrelid::regclass::text, pg_get_indexdef(s.indexrelid) from pg_stat_all_indexes as s "
        "inner join pg_class as c on c.oid = s.indexrelid inner join pg_am as a on a.oid = c.relam "
        "where s.schemaname = 'recsql' and s.relname = %s and a.amname = 'hnsw'",
        (partition,),
    ).fetchone()
    connection.execute(f"drop index {name}")
    fill(connection, f"copy recsql.{table} ({', '.join(columns)}) from stdin", rows)
    connection.execute(definition)


class Catalogue:
    """A database with items, their vectors, and users with a run; the ``item_no`` of row r is ``r + 1``."""

    def __init__(self, connection):
        generator = np.random.default_rng(1)
        self.connection = connection
        self.content = structured(generator, N_ITEMS)
        self.factors = structured(generator, N_ITEMS)
        self.users = structured(generator, N_USERS)
        # Rows of items, the newest last.
        self.histories = np.array([generator.choice(N_ITEMS, HISTORY, replace=False) for _ in range(N_USERS)])
        connection.execute("insert into recsql.domain (domain) values ('common'), ('rare')")
        # Each hundredth item is of the rare domain.
        connection.execute(
            "insert into recsql.item (item_no, item_id, domain, title) "
            "select n, 'i' || n, case when n %% 100 = 0 then 'rare' else 'common' end, 'Item ' || n "
            "from generate_series(1, %s::integer) as n",
            (N_ITEMS,),
        )
        connection.execute("analyze recsql.item")
        space_no = connection.execute(
            "select recsql.add_embedding_space('test', 'text', 'none', '1', %s, '{title}')", (DIM,)
        ).fetchone()[0]
        self.content_table = f"item_embedding_{space_no}"
        fill_vectors(
            connection,
            "item_embedding",
            self.content_table,
            ("space_no", "item_no", "content_hash", "embedding"),
            ((space_no, row + 1, b"", text(vector)) for row, vector in enumerate(self.content)),
        )
        for user in range(N_USERS):
            for step, item in enumerate(self.histories[user]):
                connection.execute(
                    "select recsql_api.record_event(%s, %s, 'like', p_at => to_timestamp(1704067200 + %s))",
                    (f"u{user}", f"i{item + 1}", step * N_USERS + user),
                )
        found = connection.execute("select user_no from recsql.app_user order by length(user_id), user_id").fetchall()
        self.user_nos = [user_no for (user_no,) in found]
        self.production = self.begin_run(None)
        connection.execute("insert into recsql.model (model) values ('transformer') on conflict do nothing")
        version_no = connection.execute(
            "insert into recsql.model_version (model_no, run_no, config) "
            "select model_no, %s, '{}' from recsql.model where model = 'transformer' returning version_no",
            (self.production,),
        ).fetchone()[0]
        connection.execute("select recsql.add_model_vectors(%s::integer, %s)", (version_no, DIM))
        self.factor_table = f"item_vector_{version_no}"
        fill_vectors(
            connection,
            "item_vector",
            self.factor_table,
            ("version_no", "item_no", "embedding"),
            ((version_no, row + 1, text(vector)) for row, vector in enumerate(self.factors)),
        )
        fill(
            connection,
            "copy recsql.user_vector (version_no, user_no, embedding) from stdin",
            ((version_no, self.user_nos[row], text(vector)) for row, vector in enumerate(self.users)),
        )
        connection.execute("vacuum analyze")

    def begin_run(self, split_no):
        row = self.connection.execute("select recsql.begin_run(%s::integer, 'test', '{}')", (split_no,)).fetchone()
        self.connection.execute("select recsql.refresh_interaction(%s::integer)", row)
        return row[0]

    def candidates(self, run_no, source, n=10):
        """Rows of the items that a source gives each user, shape ``(N_USERS, n)``."""
        self.connection.execute(
            "select recsql.refresh_candidates(%s::integer, %s, %s, %s, %s)",
            (run_no, source, min(self.user_nos), max(self.user_nos), n),
        )
        rows = self.connection.execute(
            "select c.user_no, c.item_nos from recsql.candidate as c "
            "inner join recsql.source as s on s.source_no = c.source_no where c.run_no = %s and s.source = %s",
            (run_no, source),
        ).fetchall()
        found = {user_no: np.array(item_nos) - 1 for user_no, item_nos in rows}
        return np.array([found[user_no] for user_no in self.user_nos])

    def wanted_by_content(self, histories):
        """What each user's recent items sum to, the newer the heavier, shape ``(N_USERS, DIM)``."""
        rate = self.connection.execute(
            "select history_rate from recsql.source where source = 'content' and history_decay = 'geometric'"
        ).fetchone()[0]
        weights = rate ** np.arange(histories.shape[1])[::-1]
        return np.einsum("uhd,h->ud", self.content[histories].astype(np.float64), weights)

    def nearest_content(self, queries, excluded, n=10, allowed=None):
        """Rows of the items of greatest cosine, by comparing with all, shape ``(n_queries, n)``."""
        normed = self.content / np.linalg.norm(self.content, axis=1, keepdims=True)
        return best(queries @ normed.T, excluded, n, allowed)

    def index_scans(self, table):
        """How often the HNSW index of a partition has been scanned."""
        self.connection.execute("select pg_stat_force_next_flush()")
        return self.connection.execute(
            "select s.idx_scan from pg_stat_all_indexes as s "
            "inner join pg_class as c on c.oid = s.indexrelid inner join pg_am as a on a.oid = c.relam "
            "where s.schemaname = 'recsql' and s.relname = %s and a.amname = 'hnsw'",
            (table,),
        ).fetchone()[0]


def best(scores, excluded, n, allowed=None):
    """Columns of the ``n`` greatest scores of each row, without the excluded ones."""
    scores = np.array(scores)
    np.put_along_axis(scores, excluded, -np.inf, axis=1)
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :n]


def recall(found, exact):
    return np.mean([len(set(ours) & set(theirs)) / len(theirs) for ours, theirs in zip(found, exact, strict=True)])


@pytest.fixture(scope="module")
def catalogue(server, template):
    """One for all tests here, since it takes long to fill; each of them only reads, or writes a run of its own."""
    with server.clone(template) as name, connect(server.url(name)) as connection:
        yield Catalogue(connection)


def test_content_candidates_use_the_index_and_find_the_nearest(catalogue):
    before = catalogue.index_scans(catalogue.content_table)
    found = catalogue.candidates(catalogue.production, "content")
    assert catalogue.index_scans(catalogue.content_table) - before >= N_USERS
    exact = catalogue.nearest_content(catalogue.wanted_by_content(catalogue.histories), catalogue.histories)
    assert found.shape == exact.shape
    assert recall(found, exact) >= 0.9


def test_model_candidates_use_the_index_and_find_the_greatest_scores(catalogue):
    before = catalogue.index_scans(catalogue.factor_table)
    found = catalogue.candidates(catalogue.production, "transformer")
    assert catalogue.index_scans(catalogue.factor_table) - before >= N_USERS
    exact = best(catalogue.users @ catalogue.factors.T, catalogue.histories, 10)
    assert found.shape == exact.shape
    assert recall(found, exact) >= 0.9


def test_candidates_through_the_index_leave_out_what_users_know(catalogue):
    for source in ("content", "transformer"):
        for items, known in zip(
            catalogue.candidates(catalogue.production, source, 50), catalogue.histories, strict=True
        ):
            assert len(set(items)) == 50
            assert not set(items) & set(known)


def test_offline_candidates_are_exact_whatever_the_size(catalogue):
    # Of 100 events 80 lie before the one cut, or 81, as the share is a real number: user 0 may see one event more.
    split_no = catalogue.connection.execute("select recsql.make_split('global', 'test')").fetchone()[0]
    run_no = catalogue.begin_run(split_no)
    before = catalogue.index_scans(catalogue.content_table)
    found = catalogue.candidates(run_no, "content")
    assert catalogue.index_scans(catalogue.content_table) == before
    seen = catalogue.histories[:, :4]
    exact = catalogue.nearest_content(catalogue.wanted_by_content(seen), seen)
    np.testing.assert_array_equal(np.sort(found[1:]), np.sort(exact[1:]))


def similar_items(catalogue, rows, domain=None):
    """Rows of the ten items like each item."""
    return [
        [
            int(item_id[1:]) - 1
            for (item_id,) in catalogue.connection.execute(
                "select item_id from recsql_api.similar_items(%s, 10, 'content', %s) order by rank",
                (f"i{row + 1}", domain),
            ).fetchall()
        ]
        for row in rows
    ]


def test_similar_items_by_content_use_the_index_and_find_the_nearest(catalogue):
    rows = np.random.default_rng(2).choice(N_ITEMS, 30, replace=False)
    before = catalogue.index_scans(catalogue.content_table)
    found = similar_items(catalogue, rows)
    assert catalogue.index_scans(catalogue.content_table) - before >= len(rows)
    exact = catalogue.nearest_content(catalogue.content[rows], rows[:, None])
    assert [len(items) for items in found] == [10] * len(rows)
    assert recall(found, exact) >= 0.9


def test_similar_items_of_a_rare_domain_are_ten_and_the_nearest(catalogue):
    rows = np.random.default_rng(3).choice(N_ITEMS, 30, replace=False)
    found = similar_items(catalogue, rows, "rare")
    is_rare = (np.arange(N_ITEMS) + 1) % 100 == 0
    exact = catalogue.nearest_content(catalogue.content[rows], rows[:, None], allowed=is_rare)
    assert [len(items) for items in found] == [10] * len(rows)
    assert recall(found, exact) >= 0.9
