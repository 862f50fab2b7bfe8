"""The door: a table of commands, each imported only when it is called, so that `lab --help` is instant."""

import os
import sys
from collections.abc import Callable
from importlib import import_module

import typer

from generators.foundation.errors import UserError, WorkFailed

# command -> (module whose `app` holds it, one line of help)
COMMANDS = {
    "study": ("studies.commands.study", "questions: list them, show one's plan, run it, see how far it is"),
    "claims": ("studies.commands.claims", "the verdict on every claim of a study"),
    "report": ("reports.commands.reports", "write a study's page, or those of several and an index of their claims"),
    "compare": (
        "reports.commands.reports",
        "two studies side by side: verdicts, effects, and settings that differ",
    ),
    "results": ("reports.commands.reports", "every run of studies as one table: CSV or Parquet"),
    "dashboard": ("reports.commands.reports", "studies in the browser, run by run, also while they run"),
    "tensorboard": ("reports.dashboards.tensorboard", "the curves of studies as TensorBoard event files"),
    "data": ("generators.commands", "tasks: list them, show samples, check them against their oracles"),
    "objective": ("lab.commands.objective", "objectives: list them, show settings, check one of your own"),
    "train": ("lab.commands.runs", "train one run from a spec file, or take it up where it stands"),
    "score": ("lab.commands.runs", "score a stored run on a split of its task"),
    "decode": ("lab.commands.runs", "continue prompts from a stored run, its own heads as drafters"),
    "analyse": (
        "lab.commands.analyse",
        "why a stored run does what it does: choice points, information, heads",
    ),
    "export": ("lab.commands.runs", "a stored run as a folder that Hugging Face transformers loads"),
    "bench": ("lab.commands.bench", "measured comparisons, side by side"),
    "doctor": ("lab.commands.runs", "what this machine has, and whether the lab works on it"),
}
PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def door() -> typer.Typer:
    """The `lab` command."""
    app = typer.Typer(
        help="A laboratory for ablating multi-token prediction: studies, runs, data, reports.",
        epilog="Start with: lab study list",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, (module, summary) in COMMANDS.items():
        app.command(name, help=summary, context_settings=PASSED_ON)(entrance(name, module))
    return app


def entrance(name: str, module: str) -> Callable[[typer.Context], None]:
    """A command that imports its module and hands over whatever stands behind its name."""

    def enter(context: typer.Context) -> None:
        import_module(module).app([name, *context.args], prog_name="lab")

    return enter


def main() -> None:
    """Run one command. Exit 0 done, 1 the work failed, 2 the input was wrong."""
    try:
        door()()
    except UserError as error:
        sys.exit(fail(error, 2))
    except WorkFailed as error:
        sys.exit(fail(error, 1))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def fail(error: Exception, code: int) -> int:
    """Say what went wrong in one line, whatever the input had in it; the exit code."""
    sys.stderr.write(f"lab: {' '.join(str(error).splitlines())}\n")
    return code


if __name__ == "__main__":
    main()
