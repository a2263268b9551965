"""Searches of vectors: how they are done, what they find beside the exact answer, and what bad input gets."""

import json
from datetime import timedelta

import numpy as np
import psycopg
import pytest

from recsql import vector_index
from recsql.db import connect
from recsql.queries import QUERIES

N_ITEMS = 8000
DIM = 32


def text(vector):
    return "[" + ",".join(map(repr, np.asarray(vector, dtype=np.float32).tolist())) + "]"


def structured(n_rows, seed):
    """Vectors of shape ``(n_rows, DIM)`` that vary in eight directions; independent ones have no neighbours to find."""
    directions = np.random.default_rng(0).standard_normal((8, DIM))
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((n_rows, 8)) @ directions + 0.1 * generator.standard_normal((n_rows, DIM))
    return vectors.astype(np.float32)


def add_space(connection, dim=DIM, space="test"):
    row = connection.execute(
        "select 'item_embedding_' || recsql.add_embedding_space(%s, 'text', %s, '1', %s, '{title}')",
        (space, f"model of {space}", dim),
    ).fetchone()
    return row[0]


def write_vectors(connection, vector_set, vectors):
    """Vectors of items 1, 2, …"""
    connection.execute(
        "insert into recsql.item_embedding (space_no, item_no, content_hash, embedding) "
        "select split_part(%s, '_', 3)::integer, n, '', v::vector from unnest(%s::text[]) with ordinality as x (v, n)",
        (vector_set, [text(vector) for vector in vectors]),
    )


class Catalogue:
    """Items i1, i2, … of which every fourth has no wheels, and every hundredth is of the rare domain."""

    def __init__(self, connection):
        self.connection = connection
        self.vectors = structured(N_ITEMS, 1)
        self.set = "item_embedding_1"

    def fill(self):
        """Write the items and their vectors, and build the index."""
        connection = self.connection
        connection.execute("insert into recsql.domain (domain) values ('common'), ('rare')")
        connection.execute(
            "insert into recsql.item (item_no, item_id, domain, title, attributes) "
            "select n, 'i' || n, case when n %% 100 = 0 then 'rare' else 'common' end, 'Item ' || n, "
            "jsonb_build_object('wheels', n %% 4 <> 0, 'colour', 'c' || n %% 50) "
            "from generate_series(1, %s::integer) as n",
            (N_ITEMS,),
        )
        assert add_space(connection) == self.set
        connection.execute("select recsql.drop_vector_index(%s)", (self.set,))
        write_vectors(connection, self.set, self.vectors)
        connection.execute("select recsql.add_vector_index(%s)", (self.set,))
        # Statistics that change on their own would make searches change their way.
        connection.execute("alter table recsql.item set (autovacuum_enabled = off)")
        connection.execute("vacuum analyze")

    def similar(self, row, n=10, domain=None, wanted=None, by="content"):
        """Rows of the items like an item."""
        found = self.connection.execute(
            "select item_id from recsql_api.similar_items(%s, %s, %s, %s, %s) order by rank",
            (f"i{row + 1}", n, by, domain, json.dumps(wanted or {})),
        ).fetchall()
        return [int(item_id[1:]) - 1 for (item_id,) in found]

    def nearest(self, row, n=10, allowed=None):
        """Rows of the items of greatest cosine, by comparing with all."""
        normed = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        cosines = normed @ normed[row]
        cosines[row] = -np.inf
        if allowed is not None:
            cosines[~allowed] = -np.inf
        return np.argsort(-cosines, kind="stable")[:n].tolist()

    def search(self, row, wanted, n=10):
        """Rows, and the strategies that they came by, of a search without the item itself."""
        found = self.connection.execute(
            "select item_no, strategy from recsql.nearest_items(%s, %s::vector, %s, null, %s, %s)",
            (self.set, text(self.vectors[row]), n, json.dumps(wanted), [row + 1]),
        ).fetchall()
        return [item_no - 1 for item_no, _ in found], {strategy for _, strategy in found}

    def plan(self, n=10, domain=None, wanted=None):
        """Strategy, estimated rows."""
        return self.connection.execute(
            "select strategy, n_estimated from recsql.vector_search_plan(%s, %s, %s, %s)",
            (self.set, n, domain, json.dumps(wanted or {})),
        ).fetchone()

    def index_scans(self):
        """How often the HNSW index has been scanned."""
        self.connection.execute("select pg_stat_force_next_flush()")
        return self.connection.execute(
            "select idx_scan from pg_stat_all_indexes where indexrelname = %s", (self.set + "_hnsw",)
        ).fetchone()[0]


def recall(found, exact):
    return np.mean([len(set(ours) & set(theirs)) / len(theirs) for ours, theirs in zip(found, exact, strict=True)])


SAMPLE = np.random.default_rng(2).choice(N_ITEMS, 40, replace=False).tolist()
NUMBERS = np.arange(N_ITEMS) + 1


@pytest.fixture(scope="module")
def filled(server, template):
    with server.clone(template) as name:
        with connect(server.url(name)) as connection:
            Catalogue(connection).fill()
        yield name


@pytest.fixture(scope="module")
def catalogue(server, filled):
    """One that tests only read."""
    with server.clone(filled) as name, connect(server.url(name)) as connection:
        yield Catalogue(connection)


@pytest.fixture
def own_catalogue(server, filled):
    """A copy that a test may change."""
    with server.clone(filled) as name, connect(server.url(name)) as connection:
        yield Catalogue(connection)


def test_similar_items_use_the_index_and_find_the_nearest(catalogue):
    before = catalogue.index_scans()
    found = [catalogue.similar(row) for row in SAMPLE]
    assert catalogue.index_scans() - before >= len(SAMPLE)
    assert [len(items) for items in found] == [10] * len(SAMPLE)
    assert recall(found, [catalogue.nearest(row) for row in SAMPLE]) >= 0.95


def test_wide_filter_uses_the_index_and_finds_the_nearest(catalogue):
    # Three quarters of 8,000 match; the index visits 20 / 0.75 rows for that, comparing all would take 6,000.
    wanted = {"wheels": True}
    assert catalogue.plan(wanted=wanted)[0] == "index"
    before = catalogue.index_scans()
    found = [catalogue.similar(row, wanted=wanted) for row in SAMPLE]
    assert catalogue.index_scans() - before >= len(SAMPLE)
    exact = [catalogue.nearest(row, allowed=NUMBERS % 4 != 0) for row in SAMPLE]
    assert [len(items) for items in found] == [10] * len(SAMPLE)
    assert recall(found, exact) >= 0.95


@pytest.mark.parametrize(
    ("domain", "wanted", "allowed"),
    [
        ("rare", {}, NUMBERS % 100 == 0),
        (None, {"colour": "c7"}, NUMBERS % 50 == 7),
        ("rare", {"wheels": False}, NUMBERS % 100 == 0),  # every hundredth is a fourth, too
    ],
)
def test_narrow_filter_compares_all_that_match(catalogue, domain, wanted, allowed):
    assert catalogue.plan(domain=domain, wanted=wanted)[0] == "exact"
    before = catalogue.index_scans()
    for row in SAMPLE[:10]:
        assert catalogue.similar(row, domain=domain, wanted=wanted) == catalogue.nearest(row, allowed=allowed)
    assert catalogue.index_scans() == before


def test_plan_estimates_what_matches(catalogue):
    # 8,000 in all; 80 are rare; 160 of each colour; 6,000 with wheels. A sample of 30,000 rows sees all of them.
    for expected, options in [
        (8000, {}),
        (80, {"domain": "rare"}),
        (160, {"wanted": {"colour": "c7"}}),
        (6000, {"wanted": {"wheels": True}}),
    ]:
        assert catalogue.plan(**options)[1] == pytest.approx(expected, rel=0.5)


def test_search_for_more_than_the_index_is_good_for_compares_all(catalogue):
    # 2 · 1000 rows of the index for 1,000 cost as much as comparing 12,000, and there are 8,000.
    assert catalogue.plan(n=1000)[0] == "exact"
    row = SAMPLE[0]
    assert catalogue.similar(row, n=1000) == catalogue.nearest(row, n=1000)


def test_search_says_the_strategy_that_was_planned(catalogue):
    for wanted in ({}, {"wheels": True}, {"colour": "c7"}):
        assert catalogue.search(SAMPLE[0], wanted)[1] == {catalogue.plan(wanted=wanted)[0]}


def test_what_the_index_gives_up_on_is_completed(own_catalogue):
    connection = own_catalogue.connection
    # The statistics still say that three quarters have wheels, when of the last 8,000 only each eightieth has.
    connection.execute("update recsql.item set attributes = jsonb_build_object('wheels', item_no % 80 = 1)")
    # It stops after the first batch, in which there cannot be sixty of the hundred.
    connection.execute("alter function recsql.nearest_by_index set hnsw.max_scan_tuples = 1")
    assert own_catalogue.plan(n=60, wanted={"wheels": True})[0] == "index"
    for row in SAMPLE[:5]:
        found, strategies = own_catalogue.search(row, {"wheels": True}, n=60)
        assert strategies == {"completed"}
        assert found == own_catalogue.nearest(row, n=60, allowed=NUMBERS % 80 == 1)


def test_fewer_than_asked_are_all_that_there_are(own_catalogue):
    own_catalogue.connection.execute("update recsql.item set attributes = jsonb_build_object('wheels', item_no <= 4)")
    found, strategies = own_catalogue.search(7, {"wheels": True})
    assert sorted(found) == [0, 1, 2, 3]
    assert strategies == {"completed"}


def test_unavailable_items_are_not_found(own_catalogue):
    row = SAMPLE[0]
    gone = own_catalogue.nearest(row, n=3)
    own_catalogue.connection.execute(
        "update recsql.item set available = false where item_no = any (%s)", ([item + 1 for item in gone],)
    )
    assert not set(own_catalogue.similar(row)) & set(gone)
    assert len(own_catalogue.similar(row)) == 10


def test_without_index_every_search_is_exact(own_catalogue):
    own_catalogue.connection.execute("select recsql.drop_vector_index(%s)", (own_catalogue.set,))
    found, strategies = own_catalogue.search(SAMPLE[0], {})
    assert strategies == {"exact"}
    assert found == own_catalogue.nearest(SAMPLE[0])
    own_catalogue.connection.execute("select recsql.add_vector_index(%s)", (own_catalogue.set,))
    assert own_catalogue.search(SAMPLE[0], {})[1] == {"index"}


def test_reader_may_search_in_a_read_only_transaction(catalogue):
    with catalogue.connection.transaction(force_rollback=True):
        catalogue.connection.execute("set transaction read only")
        catalogue.connection.execute("set local role recsql_reader")
        assert len(catalogue.similar(SAMPLE[0])) == 10
        assert len(catalogue.similar(SAMPLE[0], wanted={"colour": "c7"})) == 10
        assert catalogue.connection.execute("select count(*) from recsql_api.vector_search_quality").fetchone() == (0,)


def test_settings_of_the_search_do_not_outlive_it(catalogue):
    names = ("enable_sort", "enable_seqscan", "hnsw.ef_search", "hnsw.iterative_scan")
    with catalogue.connection.transaction():
        before = [catalogue.connection.execute("select current_setting(%s)", (name,)).fetchone() for name in names]
        catalogue.similar(SAMPLE[0], n=200)
        after = [catalogue.connection.execute("select current_setting(%s)", (name,)).fetchone() for name in names]
    assert before == after


def test_audit_writes_what_searches_find(own_catalogue):
    connection = own_catalogue.connection
    rows = connection.execute(
        "select strategy, n_matching, n_found, recall, is_completed from recsql.audit_vector_search(20, 10)"
    ).fetchall()
    assert [row[:3] for row in rows] == [("index", 8000, 10)] * 20
    assert np.mean([row[3] for row in rows]) >= 0.95
    connection.execute("select count(*) from recsql.audit_vector_search(7, 5, '{\"colour\": \"c7\"}', 'common')")
    found = connection.execute(
        "select vectors, domain, filter, n, strategy, n_searches, n_completed, n_matching, recall "
        "from recsql_api.vector_search_quality where domain is not null"
    ).fetchall()
    # 8,000 / 50 are of colour c7, and none of them is a multiple of 100.
    assert found == [("content test", "common", {"colour": "c7"}, 5, "exact", 7, 0, 160, 1.0)]


def test_audit_sees_what_an_index_misses(own_catalogue):
    connection = own_catalogue.connection
    # The index is led astray: its vectors are the right ones, but what it returns first is not ranked any further.
    connection.execute(
        "create or replace function recsql.nearest_by_index(p_set text, p_vector vector, p_n integer, p_domain text, "
        "p_filter jsonb, p_exclude integer[]) returns table (item_no integer, similarity double precision) "
        "language sql as $$ select n.item_no, n.similarity "
        "from recsql.nearest_exact(p_set, p_vector, p_n + 5, p_domain, p_filter, p_exclude) as n "
        "order by n.similarity limit p_n $$"
    )
    # Of the ten nearest, the last five are among the fifteen nearest but the five nearest.
    rows = connection.execute("select distinct recall from recsql.audit_vector_search(5, 10)").fetchall()
    assert rows == [(0.5,)]


def test_audit_forgets_rows_of_a_season_ago(own_catalogue):
    connection = own_catalogue.connection
    connection.execute("select count(*) from recsql.audit_vector_search(3)")
    connection.execute("update recsql.vector_search_audit set at = at - %s", (timedelta(days=91),))
    connection.execute("select count(*) from recsql.audit_vector_search(2)")
    assert connection.execute("select count(*) from recsql.vector_search_audit").fetchone() == (2,)


def test_audit_command_prints_a_row_for_each_strategy(connection, cli):
    add_small_catalogue(connection, structured(5, 4))
    [row] = json.loads(cli("audit", "--queries", 4, "-n", 3, "--json").stdout)
    assert (row["vectors"], row["strategy"], row["n_searches"], row["recall"]) == ("content test", "exact", 4, 1.0)
    refused = cli("audit", "--filter", "[1]")
    assert refused.returncode == 1
    assert "is no JSON object" in refused.stderr
    assert "is no JSON" in cli("audit", "--filter", "genre=Comedy").stderr


def test_reindex_replaces_what_an_earlier_release_built(own_catalogue, server):
    connection = own_catalogue.connection
    connection.execute("drop index recsql.item_embedding_1_hnsw")
    connection.execute(
        f"create index item_embedding_1_hnsw on recsql.item_embedding_1 "
        f"using hnsw ((embedding::vector({DIM})) vector_cosine_ops)"
    )
    # Searches use it as it is.
    assert own_catalogue.search(SAMPLE[0], {})[1] == {"index"}
    assert connection.execute("select index_type from recsql.vector_set").fetchone() == ("vector",)
    # What a build that was broken off leaves is no obstacle.
    connection.execute("create index item_embedding_1_hnsw_new on recsql.item_embedding_1 (item_no)")
    [done] = vector_index.reindex(connection)
    assert (done["vectors"], done["before"]) == ("content test", "vector")
    assert connection.execute("select index_type from recsql.vector_set").fetchone() == ("halfvec",)
    names = connection.execute(
        "select indexname from pg_indexes where tablename = 'item_embedding_1' order by 1"
    ).fetchall()
    assert names == [("item_embedding_1_hnsw",), ("item_embedding_1_pkey",)]
    assert own_catalogue.search(SAMPLE[0], {})[1] == {"index"}
    assert vector_index.reindex(connection) == []


def add_small_catalogue(connection, vectors, domain="things"):
    """Items i1, i2, … with their vectors; gives the set."""
    connection.execute("insert into recsql.domain (domain) values (%s)", (domain,))
    connection.execute(
        "insert into recsql.item (item_no, item_id, domain, title) "
        "select n, 'i' || n, %s, 'Item ' || n from generate_series(1, %s::integer) as n",
        (domain, len(vectors)),
    )
    vector_set = add_space(connection, vectors.shape[1])
    write_vectors(connection, vector_set, vectors)
    return vector_set


def state_of(connection, query, *parameters):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(query, parameters)
    return caught.value.sqlstate, caught.value.diag.message_hint


def test_empty_catalogue_has_nothing_to_search(connection):
    assert state_of(connection, "select * from recsql_api.similar_items('i1', 10, 'content')")[0] == "RS001"
    assert connection.execute("select * from recsql.audit_vector_search()").fetchall() == []
    vector_set = add_space(connection)
    query = "select * from recsql.nearest_items(%s, %s::vector, 10)"
    assert connection.execute(query, (vector_set, text(structured(1, 0)[0]))).fetchall() == []
    assert connection.execute("select * from recsql.audit_vector_search()").fetchall() == []


def test_only_item_of_a_domain_is_like_nothing(connection):
    add_small_catalogue(connection, structured(1, 0))
    query = "select * from recsql_api.similar_items('i1', 10, %s, %s)"
    for by in ("content", "fused", "behaviour"):
        for domain in (None, "things", "no such domain"):
            assert connection.execute(query, (by, domain)).fetchall() == []


def test_item_without_a_vector_is_like_nothing(connection):
    add_small_catalogue(connection, structured(3, 0))
    connection.execute("insert into recsql.item (item_no, item_id, domain) values (4, 'new', 'things')")
    assert connection.execute("select * from recsql_api.similar_items('new', 10, 'content')").fetchall() == []


@pytest.mark.parametrize("wanted", ["[1]", '"text"', "3", "true", "null"])
def test_filter_that_is_no_object_is_refused(connection, wanted):
    vector_set = add_small_catalogue(connection, structured(3, 0))
    state, hint = state_of(connection, "select * from recsql_api.similar_items('i1', 10, 'content', null, %s)", wanted)
    assert (state, "JSON" in hint or "{" in hint) == ("RS002", True)
    query = "select * from recsql.nearest_items(%s, %s::vector, 10, null, %s)"
    assert state_of(connection, query, vector_set, text(np.ones(DIM)), wanted)[0] == "RS002"


def test_filter_of_a_kind_that_no_item_has_finds_nothing(connection):
    add_small_catalogue(connection, structured(3, 0))
    query = "select count(*) from recsql_api.similar_items('i1', 10, 'content', null, %s)"
    for wanted in ('{"year": {"$gt": 1990}}', '{"tags": [1, [2]]}', '{"": null}'):
        assert connection.execute(query, (wanted,)).fetchone() == (0,)
    assert connection.execute(query, (None,)).fetchone() == (2,)


def test_vector_of_other_dimensions_is_refused(connection):
    vector_set = add_small_catalogue(connection, structured(3, 0))
    query = "select * from recsql.nearest_items(%s, %s::vector, 10)"
    state, hint = state_of(connection, query, vector_set, "[1,2,3]")
    assert state == "RS004"
    assert "model" in hint
    assert state_of(connection, query, "item_embedding_999", "[1,2,3]")[0] == "RS001"
    assert connection.execute(query, (vector_set, None)).fetchall() == []


def test_vector_of_length_zero_is_like_nothing(connection):
    vectors = structured(3, 0)
    vectors[1] = 0
    vector_set = add_small_catalogue(connection, vectors)
    query = "select item_no from recsql.nearest_items(%s, %s::vector, 10)"
    assert connection.execute(query, (vector_set, text(vectors[1]))).fetchall() == []
    found = connection.execute(query, (vector_set, text(vectors[0]))).fetchall()
    assert {item_no for (item_no,) in found} == {1, 3}


def test_nan_is_refused_and_the_last_vector_stays(connection):
    vector_set = add_small_catalogue(connection, structured(2, 0))
    write = f"update recsql.{vector_set} set embedding = %s::vector where item_no = 1"
    before = connection.execute(f"select embedding::text from recsql.{vector_set} where item_no = 1").fetchone()
    for bad in ("NaN", "Infinity"):
        with pytest.raises(psycopg.DataError):
            connection.execute(write, ("[" + ",".join([bad] * DIM) + "]",))
    assert connection.execute(f"select embedding::text from recsql.{vector_set} where item_no = 1").fetchone() == before


def add_version(connection):
    connection.execute("insert into recsql.model (model) values ('transformer') on conflict do nothing")
    run_no = connection.execute("select recsql.begin_run(null, 'test', '{}')").fetchone()[0]
    return connection.execute(
        "insert into recsql.model_version (model_no, run_no, config) "
        "select model_no, %s, '{}' from recsql.model where model = 'transformer' returning version_no, run_no",
        (run_no,),
    ).fetchone()


def test_model_version_keeps_its_dimensions(connection):
    version_no, _ = add_version(connection)
    connection.execute("select recsql.add_model_vectors(%s::integer, 4)", (version_no,))
    connection.execute("select recsql.add_model_vectors(%s::integer, 4)", (version_no,))
    state, hint = state_of(connection, "select recsql.add_model_vectors(%s::integer, 8)", version_no)
    assert (state, "train" in hint) == ("RS004", True)
    assert connection.execute("select dim, measure, index_type from recsql.vector_set").fetchall() == [
        (4, "ip", "halfvec")
    ]
    assert state_of(connection, "select recsql.add_model_vectors(999, 8)")[0] == "RS001"
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "insert into recsql.item_vector (version_no, item_no, embedding) values (%s, 1, '[1,2]')", (version_no,)
        )


def test_model_version_is_indexed_at_once_or_when_its_vectors_are_there(connection):
    (at_once, _), (later, _) = add_version(connection), add_version(connection)
    connection.execute("select recsql.add_model_vectors(%s::integer, 2)", (at_once,))
    connection.execute("select recsql.add_model_vectors(%s::integer, 2, p_with_index => false)", (later,))
    indexed = "select array_agg(vector_set order by vector_set) from recsql.vector_set where index_type = 'halfvec'"
    assert connection.execute(indexed).fetchone()[0] == [f"item_vector_{at_once}"]
    connection.execute("select recsql.add_vector_index(%s)", (f"item_vector_{later}",))
    assert connection.execute(indexed).fetchone()[0] == sorted([f"item_vector_{at_once}", f"item_vector_{later}"])


def test_candidates_are_the_nearest_that_the_user_may_have_again_or_does_not_know(connection):
    for item, domain in (("a", "once"), ("b", "once"), ("c", "again"), ("d", "again"), ("e", "once")):
        connection.execute("select recsql_api.upsert_item(%s, %s, p_domain => %s)", (item, item, domain))
    connection.execute("update recsql.domain set allows_repeat = true where domain = 'again'")
    for item in ("a", "c"):
        connection.execute("select recsql_api.record_event('u', %s, 'like')", (item,))
    version_no, run_no = add_version(connection)
    connection.execute("select recsql.refresh_interaction(%s::integer)", (run_no,))
    connection.execute("select recsql.add_model_vectors(%s::integer, 2)", (version_no,))
    # Products with (1, 0): a 5, b 4, c 3, d 2, e 1.
    connection.execute(
        "insert into recsql.item_vector (version_no, item_no, embedding) "
        "select %s, item_no, format('[%%s,7]', 6 - item_no)::vector from (select row_number() over (order by item_id) "
        "as place, item_no from recsql.item) as i",
        (version_no,),
    )
    connection.execute(
        "insert into recsql.user_vector (version_no, user_no, embedding) "
        "select %s, user_no, '[1,0]' from recsql.app_user",
        (version_no,),
    )
    found = connection.execute(
        "select i.item_id, c.score from recsql.vector_candidates(%s::integer, 5::smallint, 0, 100, 3) as c "
        "inner join recsql.item as i using (item_no) order by c.score desc",
        (run_no,),
    ).fetchall()
    # a is known and of a domain without repeats; c is known, too, but may come again.
    assert found == [("b", 4.0), ("c", 3.0), ("d", 2.0)]


def test_audit_scopes_are_all_items_and_each_domain(connection):
    connection.execute("insert into recsql.domain (domain) values ('b')")
    assert connection.execute(QUERIES["audit_scopes"]).fetchall() == [(None,)]
    connection.execute("insert into recsql.domain (domain) values ('a')")
    assert connection.execute(QUERIES["audit_scopes"]).fetchall() == [(None,), ("a",), ("b",)]


def test_worker_audits_all_items_and_each_domain(connection, cli):
    add_small_catalogue(connection, structured(4, 0))
    connection.execute("insert into recsql.domain (domain) values ('other')")
    assert cli("defer", "audit").returncode == 0
    assert cli("worker", "--once").returncode == 0
    found = connection.execute(
        "select domain, n_searches, n_matching, recall from recsql_api.vector_search_quality "
        "order by domain nulls first"
    ).fetchall()
    # 20 searches are asked for, and there are 4 items to search for. Of the other domain there is nothing to find.
    assert found == [(None, 4, 4, 1.0), ("other", 4, 0, None), ("things", 4, 4, 1.0)]
