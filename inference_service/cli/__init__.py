"""The `lookbeyond` command, one file per subcommand.

`world` and `shot` run the same units as the service, in this process and through the same store, so that nothing is
computed twice and both give the same bytes. A user's mistake is one line on the standard error and exit code 2.
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; see `command.main`."""
    try:
        # here, for it takes a second: Ctrl-C in it is no traceback either
        from inference_service.cli import command
    except KeyboardInterrupt:
        print("Stopped; no output was written.", file=sys.stderr)
        sys.exit(130)
    command.main(arguments)
