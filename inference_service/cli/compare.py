"""`lookbeyond compare`: two shots or two worlds side by side, for choosing between them."""

from pathlib import Path

import click

from inference_service.cli import options


@click.command()
@click.argument("one", metavar="A", type=options.FOLDER)
@click.argument("other", metavar="B", type=options.FOLDER)
@options.out
@click.option("--fps", type=click.FloatRange(1, 240), default=24, show_default=True, help="Of the video.")
def compare(one: Path, other: Path, out: Path, fps: float) -> None:
    """Compare the folders A and B, two shots or two worlds: a video with a wipe, their difference, figures."""
    from lookbeyond.exchange.compare import compare

    click.echo(compare(one, other, out, fps).to_markdown())
    click.echo(f"{out}: done.")
