"""`python -m inference_service.cli`."""

from inference_service.cli import main

main()
