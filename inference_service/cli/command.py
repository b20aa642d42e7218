"""The `lookbeyond` command itself: its subcommands and exit codes."""

import sys
from collections.abc import Sequence

import click

from inference_service.cli.cameras import cameras
from inference_service.cli.compare import compare
from inference_service.cli.doctor import doctor
from inference_service.cli.edit import edit
from inference_service.cli.fetch import fetch
from inference_service.cli.keys import keys
from inference_service.cli.link import link
from inference_service.cli.local_run import Outcome
from inference_service.cli.mesh import mesh
from inference_service.cli.page import page
from inference_service.cli.photos import photos
from inference_service.cli.plan import plan
from inference_service.cli.queue import queue
from inference_service.cli.serve import serve_command
from inference_service.cli.shot import shot
from inference_service.cli.splats import splats
from inference_service.cli.status import status
from inference_service.cli.store import store
from inference_service.cli.train import evaluate, study, train
from inference_service.cli.world import world
from inference_service.client import ServiceError
from lookbeyond import __version__
from lookbeyond.errors import LookBeyondError
from lookbeyond.geometry.cameras import CameraError, PathError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lookbeyond")
def command() -> None:
    """From one photo to a 360° panorama, and from there to the frames of a camera move."""


_parts = (
    *(world, photos, edit, link, plan, shot, compare, cameras, splats, mesh, page),
    *(serve_command, status, queue, keys, store, fetch, doctor),
    *(train, evaluate, study),
)
for _part in _parts:
    command.add_command(_part)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exits with 0, 2 for unusable input (one line says why), 130 after Ctrl-C."""
    outcome = Outcome()
    try:
        code = command.main(arguments, standalone_mode=False, obj=outcome)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "lookbeyond"
        _fail(f"{error.format_message()} See `{where} --help`.")
    except (LookBeyondError, CameraError, PathError, ServiceError) as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"Stopped; {outcome.text}.", err=True)
        sys.exit(130)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    click.echo("lookbeyond: " + " ".join(message.split()), err=True)
    sys.exit(2)
