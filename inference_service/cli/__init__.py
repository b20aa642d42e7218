"""The `lookbeyond` command, one file per subcommand.

`world` and `shot` run the same units as the service, in this process and through the same store, so that nothing is
computed twice and both give the same bytes. A user's mistake is one line on the standard error and exit code 2.
"""

from inference_service.cli.command import main

__all__ = ["main"]
