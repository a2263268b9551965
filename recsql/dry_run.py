"""What a rule would do: the lists of some users without it and with it, in a transaction that is undone."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from recsql.errors import NotFoundError
from recsql.queries import QUERIES

_EXAMPLES = 3


def dry_run(connection: psycopg.Connection[Any], rule: str, n_users: int) -> dict[str, Any]:
    """Ask ``recommend()`` for ten items of each of some published users, with the rule off and on; nothing stays.

    A rule whose period is not now is tried as if it were.

    Args:
        connection: in autocommit mode.
        rule: its name.
        n_users: how many of those that it is for, at most, drawn at random but always the same.

    Returns:
        ``rule``, ``kind``, ``slot``; ``n_items`` that it is about; ``n_published`` users, ``n_meant`` of them whom it
        is for, ``n_asked``; ``n_changed`` lists; ``n_entering`` and ``n_leaving`` places over all lists;
        ``slots_before`` and ``slots_after``, places that the items it is about take; ``examples`` of changed lists,
        before and after.

    Raises:
        NotFoundError: there is no such rule.
        InputError: it cannot be activated.
    """
    with connection.transaction(force_rollback=True), connection.cursor(row_factory=dict_row) as cursor:

        def rows(query: str, **parameters: Any) -> list[dict[str, Any]]:
            return cursor.execute(QUERIES[query], {"rule": rule, **parameters}).fetchall()

        found = rows("rules")
        if not found:
            raise NotFoundError(f"There is no rule '{rule}': 'recsql rules list' shows them.")
        (users,) = rows("rule_users", n_users=n_users)
        asked = {"user_ids": users["user_ids"], "slot": found[0]["slot"]}
        rows("set_rule_state", state="draft")
        before = {row["user_id"]: row["item_ids"] for row in rows("rule_lists", **asked)}
        cursor.execute(QUERIES["open_rule"], {"rule": rule})
        rows("set_rule_state", state="active")
        after = {row["user_id"]: row["item_ids"] for row in rows("rule_lists", **asked)}
        shown = sorted({item for lists in (before, after) for items in lists.values() for item in items})
        (matches,) = rows("rule_matches", item_ids=shown)
    matched = set(matches["item_ids"])
    changed = [user for user in users["user_ids"] if before[user] != after[user]]
    return {
        **{name: found[0][name] for name in ("rule", "kind", "slot", "n_items")},
        "n_published": users["n_published"],
        "n_meant": users["n_meant"],
        "n_asked": len(before),
        "n_changed": len(changed),
        "n_entering": sum(len(set(after[user]) - set(before[user])) for user in changed),
        "n_leaving": sum(len(set(before[user]) - set(after[user])) for user in changed),
        "slots_before": sum(len(matched.intersection(items)) for items in before.values()),
        "slots_after": sum(len(matched.intersection(items)) for items in after.values()),
        "examples": [{"user_id": user, "before": before[user], "after": after[user]} for user in changed[:_EXAMPLES]],
    }
