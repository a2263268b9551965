"""The ranker on a run's own tables: what it reads, what it writes, and when it is taken."""

from itertools import pairwise

import numpy as np
import pytest

from recsql import ingest
from recsql.errors import PipelineError
from recsql.queries import QUERIES
from recsql.readers.simulated import SimulatedReader
from workers import stages
from workers.pipeline import Pipeline, PipelineConfig
from workers.ranker import learned, segments
from workers.ranker.candidates import read_candidates
from workers.ranker.comparison import compare
from workers.ranker.learned import learn_ranker, read_choices
from workers.ranker.segments import ByAttribute, ByHistory, learn_by
from workers.run import Run

CONFIG = PipelineConfig(candidates=30)
SOURCES = ["sequential", "cosine", "als", "trending"]


@pytest.fixture
def validated(connection, monkeypatch):
    """A validation run without what takes long, of few users."""
    monkeypatch.setattr(learned, "FEWEST_TO_FIT_ON", 10)
    monkeypatch.setattr(learned, "FEWEST_TO_FIT_ON", 10)
    ingest.load(connection, SimulatedReader(n_users=120, n_items=40, with_media=False))
    connection.execute("update recsql.source set is_active = source = any(%s)", (SOURCES,))
    return Run(connection, Pipeline(connection, CONFIG).run("validation", until="weights"), "validation", CONFIG)


@pytest.fixture
def ranked(validated):
    """The run, and the policy of a ranker that was fitted on it."""
    choices, found = fitted(validated)
    validated.policy_no = found.write(choices)
    return validated, found


def fitted(run):
    """What there is to learn from, and a ranker that was fitted on it."""
    choices = read_choices(run, run.sources())
    return choices, learn_ranker(choices, choices.weights())


def number_of(run, source):
    return run.one("source_no", source=source)


def recommendations(run):
    rows = run.connection.execute(
        "select user_no, rank, item_no, score, parts from recsql.recommendation where run_no = %s order by 1, 2",
        (run.run_no,),
    ).fetchall()
    assert rows
    return rows


def test_candidates_have_the_parts_and_ranks_of_source_part(validated):
    sources = validated.sources()
    found = read_candidates(validated, sources, 0, 2**31 - 1)
    expected = {
        (user, item, source): (part, rank)
        for user, source, item, part, rank in validated.connection.execute(
            "select user_no, source_no, item_no, part, rank from recsql.source_part(%s, 0, 2147483647)",
            (validated.run_no,),
        )
    }
    rows, columns = np.nonzero(found.ranks)
    assert len(rows) == len(expected)
    users = found.user_nos[found.owner]
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        part, rank = expected[users[row], found.item_nos[row], sources[column][0]]
        assert found.parts[row, column] == pytest.approx(part, abs=1e-12)
        assert found.ranks[row, column] == rank


def test_source_that_is_silent_leaves_the_candidates_of_the_others(validated):
    both = [(number_of(validated, "cosine"), "cosine"), (-1, "gone")]
    alone = read_candidates(validated, both[:1], 0, 2**31 - 1)
    found = read_candidates(validated, both, 0, 2**31 - 1)
    assert np.array_equal(found.item_nos, alone.item_nos)
    assert np.array_equal(found.parts[:, 0], alone.parts[:, 0])
    assert not found.parts[:, 1].any()
    assert not found.ranks[:, 1].any()


def test_score_that_is_nan_says_nothing(validated):
    number = number_of(validated, "cosine")
    before = read_candidates(validated, [(number, "cosine")], 0, 2**31 - 1)
    validated.connection.execute(
        "update recsql.candidate set scores[1] = 'NaN' where run_no = %s and source_no = %s", (validated.run_no, number)
    )
    after = read_candidates(validated, [(number, "cosine")], 0, 2**31 - 1)
    # One of each list is gone, and of those that stay the best is the whole part.
    assert len(after.item_nos) == len(before.item_nos) - len(before.user_nos)
    assert np.isfinite(after.parts).all()
    assert np.maximum.reduceat(after.parts[:, 0], after.starts) == pytest.approx(1)


def test_fuse_by_ranker_writes_parts_that_sum_to_the_score(ranked):
    run, _ = ranked
    stages.fuse(run, lambda done, total, note: None)
    rows = recommendations(run)
    for user, rank, _, score, parts in rows:
        # The column has single precision, which is what may be missing here.
        assert sum(parts.values()) == pytest.approx(score, rel=1e-6, abs=1e-6), (user, rank)
    for earlier, later in pairwise(rows):
        if earlier[0] == later[0]:
            assert earlier[1] + 1 == later[1]
            assert earlier[3] >= later[3]
    assert run.one("latest_policy") == run.policy_no
    noted = run.connection.execute("select policy_no from recsql.run where run_no = %s", (run.run_no,)).fetchone()
    assert noted == (run.policy_no,)


def test_fuse_by_ranker_tells_weighted_parts_as_the_weights_have_them(ranked):
    run, found = ranked
    stages.fuse(run, lambda done, total, note: None)
    expected = {
        (user, item, source): part
        for user, item, source, part in run.connection.execute(
            "select p.user_no, p.item_no, s.source, p.part from recsql.source_part(%s, 0, 2147483647) as p "
            "inner join recsql.source as s on s.source_no = p.source_no",
            (run.run_no,),
        )
    }
    weights = dict(zip(found.ranker.sources, found.ranker.weights, strict=True))
    for user, _, item, _, parts in recommendations(run):
        for source, weight in weights.items():
            assert parts.get(source, 0) == pytest.approx(weight * expected.get((user, item, source), 0), abs=1e-8)


def test_fuse_by_ranker_again_replaces_what_a_killed_attempt_left(ranked):
    run, _ = ranked
    stages.fuse(run, lambda done, total, note: None)
    expected = recommendations(run)
    run.connection.execute("delete from recsql.recommendation where run_no = %s and user_no %% 3 = 0", (run.run_no,))
    run.connection.execute("update recsql.recommendation set score = -1, parts = '{}' where run_no = %s", (run.run_no,))
    stages.fuse(run, lambda done, total, note: None)
    assert recommendations(run) == expected


def test_fuse_by_ranker_when_a_source_was_switched_off_since(ranked):
    run, _ = ranked
    number = number_of(run, "cosine")
    run.connection.execute("update recsql.source set is_active = false where source_no = %s", (number,))
    run.connection.execute("delete from recsql.candidate where run_no = %s and source_no = %s", (run.run_no, number))
    stages.fuse(run, lambda done, total, note: None)
    for *_, score, parts in recommendations(run):
        assert "cosine" not in parts
        assert np.isfinite(score)


def test_fuse_by_ranker_that_is_damaged_says_what_to_do(ranked):
    from recsql.errors import ModelError

    run, _ = ranked
    run.connection.execute(
        'update recsql.fusion_policy set config = config || \'{"arrays": "AAAA"}\' where policy_no = %s',
        (run.policy_no,),
    )
    with pytest.raises(ModelError, match="fit it again"):
        stages.fuse(run, lambda done, total, note: None)


def test_learn_ranker_is_the_same_again(validated):
    first, second = (fitted(validated)[1].ranker.to_config() for _ in range(2))
    assert first == second


def test_weights_of_too_few_users_are_fitted_without_a_ranker(validated, monkeypatch):
    monkeypatch.setattr(learned, "FEWEST_TO_FIT_ON", 10_000)
    stages.weights(validated, lambda done, total, note: None)
    assert validated.details["ranker"].startswith("not fitted")
    assert validated.one("latest_policy") == validated.policy_no
    assert set(compare(validated).policies) == {"rrf"}


def test_weights_of_nobody_are_equal(validated):
    for table in ("candidate", "score"):
        validated.connection.execute(f"delete from recsql.{table} where run_no = %s", (validated.run_no,))
    stages.weights(validated, lambda done, total, note: None)
    kind, weights, _ = validated.connection.execute(QUERIES["policy"], {"policy_no": validated.policy_no}).fetchone()
    assert (kind, weights) == ("weighted", dict.fromkeys(SOURCES, 0.25))


def test_compare_measures_as_the_database_does_and_chooses_what_it_proposes(validated):
    found = compare(validated)
    assert set(found.singles) == set(SOURCES)
    assert {"rrf", "weighted", "weighted by history", "ranker"} == set(found.policies)
    for name in SOURCES:
        ndcg = validated.connection.execute(
            "select avg(ndcg) from recsql.user_metric(%s, %s)", (validated.run_no, name)
        ).fetchone()[0]
        assert found.singles[name][0].mean() == pytest.approx(ndcg)
    rows = found.rows()
    assert found.proposed in found.policies
    single = next(row for row in rows if not row["is_policy"])
    assert (single["method"], single["gain"]) == (found.best_single, 0)
    policy_no = found.choose()
    chosen = validated.connection.execute("select policy_no from recsql.fusion_choice where slot = 'default'")
    assert chosen.fetchone() == (policy_no,)


def test_weights_by_an_attribute_are_what_the_switching_policy_gives(validated, monkeypatch):
    monkeypatch.setattr(segments, "FEWEST_IN_SEGMENT", 2)
    # Three teams, the third of which is the truth value that is not the number 1; some are in none.
    validated.connection.execute(
        "update recsql.app_user set attributes = attributes || jsonb_build_object('team', "
        """('[1, true, "red"]'::jsonb) -> (user_no % 4)) where user_no % 4 < 3"""
    )
    choices = read_choices(validated, validated.sources())
    by = learn_by(choices, ByAttribute.of(choices, "team"))
    assert by.by.values == ["red", 1, True]
    policy_no = by.write(choices, choices.weights())
    kind, config = validated.connection.execute(
        "select kind, config from recsql.fusion_policy where policy_no = %s", (policy_no,)
    ).fetchone()
    assert (kind, [branch["segment"] for branch in config["branches"]]) == (
        "switching", [{"team": "red"}, {"team": 1}, {"team": True}],
    )  # fmt: skip
    found = choices.found
    ours = choices.asked.quality(found, by.sums(found, validated))[0]
    theirs = dict(
        validated.connection.execute(
            "select user_no, ndcg from recsql.user_metric(%s, %s)",
            (validated.run_no, f"weighted-{validated.run_no}-by-team"),
        ).fetchall()
    )
    assert ours.tolist() == pytest.approx([theirs[user_no] for user_no in choices.asked.user_nos.tolist()])


def test_weights_by_history_switch_by_the_length_of_the_history(validated):
    choices = read_choices(validated, validated.sources())
    by = ByHistory.of(choices)
    assert [condition["max_history"] for _, condition in by.conditions] == by.limits[:-1].tolist()
    lengths = dict(
        validated.connection.execute(
            "select user_no, count(step) from recsql.interaction where run_no = %s group by user_no",
            (validated.run_no,),
        ).fetchall()
    )
    user_nos = choices.found.user_nos
    shorter = [sum(lengths[user_no] > limit for limit in by.limits) for user_no in user_nos.tolist()]
    assert by.segments(validated, user_nos).tolist() == shorter


@pytest.mark.parametrize("value", ["null", '"same"', '["a", "b"]'])
def test_compare_by_an_attribute_that_divides_nobody_says_so(validated, value):
    validated.connection.execute(
        "update recsql.app_user set attributes = jsonb_build_object('team', %s::jsonb)", (value,)
    )
    with pytest.raises(PipelineError, match="Attribute 'team' does not divide the users: at least 50"):
        compare(validated, attributes=["team"])


def test_compare_leaves_out_what_was_fitted_on_an_earlier_run_and_what_is_made_of_it(validated):
    validated.connection.execute(
        "insert into recsql.fusion_policy (policy, kind, weights, config, metrics) values "
        """('earlier', 'weighted', '{"cosine": 1}', '{}', '{"fitted_on": 0}'), """
        """('ours', 'mixed', '{}', '{"slots": {"cosine": 2, "trending": 1}}', '{}'), """
        """('made of it', 'switching', '{}', '{"branches": [{"max_history": 9, "use": "ours"}], "else": "earlier"}', """
        "'{}'), "
        """('of that', 'cascade', '{}', '{"first": "made of it", "second": "cosine", "keep": 9}', '{}')"""
    )
    assert {"rrf", "ours", "weighted", "weighted by history", "ranker"} == set(compare(validated).policies)


def test_weights_that_are_fitted_again_forget_the_ranker_that_was_taken_before(validated):
    choices, found = fitted(validated)
    assert found.write(choices) == validated.one("latest_policy")
    # Of so few users no gain is beyond chance.
    stages.weights(validated, lambda done, total, note: None)
    assert validated.details["ranker"].startswith("left")
    assert validated.one("latest_policy") == validated.policy_no
    assert validated.one("fusion_policy_named", policy=f"weighted-{validated.run_no}") == validated.policy_no


def test_ranker_that_validation_chose_stays_chosen_when_it_is_written_again(ranked):
    run, _ = ranked
    choices, found = fitted(run)
    policy_no = found.write(choices, is_chosen=False)
    assert policy_no == run.policy_no
    assert run.one("latest_policy") == policy_no


def test_compare_without_anybody_to_compare_on_says_so(validated):
    validated.connection.execute(
        "update recsql.event set kind_no = (select kind_no from recsql.event_kind where kind = 'dislike')"
    )
    with pytest.raises(PipelineError, match="nobody of whom it is known what came next"):
        compare(validated)
