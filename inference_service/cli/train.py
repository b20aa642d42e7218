"""`lookbeyond train`, `evaluate` and `study`: what follows is handed to the stage, the bench, or the study."""

import importlib
import pkgutil

import click

from lookbeyond.errors import InputError

_forwarded = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(context_settings=_forwarded, add_help_option=False)
@click.argument("stage")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(stage: str, arguments: tuple[str, ...]) -> None:
    """Train one STAGE of the models; `lookbeyond train STAGE --help` says how."""
    from lookbeyond import training

    names = sorted(module.name for module in pkgutil.iter_modules(training.__path__))
    if (name := stage.replace("-", "_")) in names:
        run = getattr(importlib.import_module(f"{training.__name__}.{name}"), "main", None)
        if run is not None:
            return run(list(arguments))
    modules = {name: importlib.import_module(f"{training.__name__}.{name}") for name in names}
    stages = [name for name, module in modules.items() if hasattr(module, "main")]
    raise InputError(f"There is no training stage {stage!r}; choose one of {', '.join(stages)}.")


@click.command(context_settings=_forwarded, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def evaluate(arguments: tuple[str, ...]) -> None:
    """Measure the quality of a preset; `lookbeyond evaluate --help` says how."""
    importlib.import_module("lookbeyond.evaluation.bench").main(list(arguments))


@click.command(context_settings=_forwarded, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def study(arguments: tuple[str, ...]) -> None:
    """Run the paper's experiments and write a report; `lookbeyond study --help` says how."""
    importlib.import_module("lookbeyond.evaluation.study").main(list(arguments))
