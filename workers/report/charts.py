"""Charts as SVG, drawn by Altair without a browser."""

from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from recsql.errors import ConfigurationError

if TYPE_CHECKING:
    import altair as alt

Rows = Sequence[dict[str, Any]]

_WIDTH = 520
_ACCENT, _PLAIN = "#2563eb", "#94a3b8"


def load_altair() -> Any:
    """The module that draws.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import altair
        import vl_convert  # noqa: F401
    except ImportError:
        raise ConfigurationError("Charts are drawn by Altair: pip install 'recsql[report]'.") from None
    return altair


def svg(chart: "alt.TopLevelMixin") -> str:
    """A chart as one SVG element."""
    load_altair()
    text = StringIO()
    # Browsers may have a wider font than the one that labels were measured by.
    chart.properties(padding={"left": 30, "right": 60, "top": 5, "bottom": 5}).save(text, format="svg")
    return text.getvalue()


def intervals(rows: Rows, label: str, value: str, title: str, highlight: str = "") -> str:
    """Values with their intervals, one below the other in the order of the rows.

    Args:
        rows: with ``label``, ``value``, ``lo`` and ``hi``; an interval that is None is not drawn.
        label: key of the names.
        value: key of the values.
        title: of the axis.
        highlight: the name whose mark stands out.
    """
    alt = load_altair()
    order = [row[label] for row in rows]
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        y=alt.Y(f"{label}:N", sort=order, title=None),
        color=alt.condition(alt.datum[label] == highlight, alt.value(_ACCENT), alt.value(_PLAIN)),
    )
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("lo:Q", title=title), x2="hi:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x=alt.X(f"{value}:Q", title=title))
    return svg((bars + points).properties(width=_WIDTH))


def stacked(rows: Rows, label: str, parts: dict[str, str], title: str) -> str:
    """Bars of parts that add up, one below the other in the order of the rows.

    Args:
        rows: with ``label`` and the keys of ``parts``.
        label: key of the names.
        parts: what each part is called, by its key.
        title: of the axis.
    """
    alt = load_altair()
    order = [row[label] for row in rows]
    values = [
        {label: row[label], "part": name, "value": row[key], "place": place}
        for row in rows
        for place, (key, name) in enumerate(parts.items())
    ]
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            y=alt.Y(f"{label}:N", sort=order, title=None),
            x=alt.X("value:Q", title=title),
            color=alt.Color("part:N", sort=list(parts.values()), title=None, scale=alt.Scale(range=[_PLAIN, _ACCENT])),
            order="place:Q",
        )
    )
    return svg(chart.properties(width=_WIDTH))


def heatmap(rows: Rows, y: str, x: str, value: str) -> str:
    """A matrix of shares, with the numbers in its cells."""
    alt = load_altair()
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        y=alt.Y(f"{y}:N", title=None), x=alt.X(f"{x}:N", title=None, axis=alt.Axis(labelAngle=-40))
    )
    cells = base.mark_rect().encode(
        color=alt.Color(f"{value}:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None)
    )
    numbers = base.mark_text(fontSize=10).encode(
        text=alt.Text(f"{value}:Q", format=".2f"),
        color=alt.condition(alt.datum[value] > 0.6, alt.value("white"), alt.value("black")),
    )
    return svg((cells + numbers).properties(width=alt.Step(44), height=alt.Step(24)))


def curves(rows: Rows, x: str, y: str, series: str, titles: tuple[str, str], *, is_log: bool = False) -> str:
    """Lines of several series.

    Args:
        rows: with the three keys.
        x: key of what goes to the right.
        y: key of what goes up.
        series: key of the lines' names, which keep the order of the rows.
        titles: of both axes.
        is_log: whether x is on a logarithmic scale.
    """
    alt = load_altair()
    order = list(dict.fromkeys(row[series] for row in rows))
    scale = alt.Scale(type="log") if is_log else alt.Scale()
    chart = (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_line(point=len(rows) < 50)
        .encode(
            x=alt.X(f"{x}:Q", title=titles[0], scale=scale),
            y=alt.Y(f"{y}:Q", title=titles[1]),
            color=alt.Color(f"{series}:N", sort=order, title=None),
        )
    )
    return svg(chart.properties(width=_WIDTH, height=260))
