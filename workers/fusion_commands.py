"""``recsql fusion``: ways of fusing what the sources say."""

import typer

from workers.fusion_compare import compare

app = typer.Typer(no_args_is_help=True, help="Compare the ways of fusing what the sources say.")
app.command()(compare)


@app.callback()
def fusion() -> None:
    """Compare the ways of fusing what the sources say."""
