"""`python -m inference_service.cli`."""

from inference_service.cli.command import main

main()
