"""The `lab` command: a table of commands, each imported only when it is called, so that `lab --help` is instant."""

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module

import typer

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.streams import answers_alone, prepare_streams
from lab.usage import OneSentenceGroup

COMMANDS = {
    "study": ("studies.commands.study:study_app", "list studies, show the plan of one, run it, follow its progress"),
    "claims": ("studies.commands.claims:claims_command", "show the verdict on every claim of a study"),
    "report": (
        "reports.commands.report:report_command",
        "write the page of a study, or of several with an index of their claims",
    ),
    "compare": (
        "reports.commands.compare:compare_command",
        "compare two studies: verdicts, effects, settings that differ",
    ),
    "figure": ("reports.commands.figure:figure_command", "draw a figure of a study for a paper: PDF, SVG or PNG"),
    "table": ("reports.commands.table:table_command", "write the claims or arms of a study as a table for a paper"),
    "results": ("reports.commands.results:results_command", "write the runs of studies to one table, CSV or Parquet"),
    "dashboard": (
        "reports.commands.dashboard:dashboard_command",
        "browse studies and searches run by run, even while they run",
    ),
    "tensorboard": (
        "reports.commands.tensorboard:tensorboard_command",
        "write the curves of studies as TensorBoard event files",
    ),
    "data": ("generators.commands:data_app", "list tasks, show samples, check them against their oracles"),
    "model": ("lab.commands.model:model_app", "list kinds of models, show their settings, check your own trunk"),
    "objective": ("lab.commands.objective:objective_app", "list objectives, show their settings, check your own"),
    "settings": ("studies.commands.settings:settings_command", "show every setting and every metric, with its meaning"),
    "train": ("lab.commands.train:train_command", "train one run from a spec file, or resume it"),
    "new": ("studies.commands.new:new_command", "write a package with a part of your own, or a study"),
    "score": ("lab.commands.score:score_command", "score a stored run on a split of its task"),
    "decode": ("lab.commands.decode:decode_command", "continue prompts with a stored run; its own heads can draft"),
    "analyse": ("reports.commands.analyse:analyse_command", "analyse a stored run: attention, probes, decoding, cost"),
    "export": ("lab.commands.export:export_command", "write a stored run as a Hugging Face transformers folder"),
    "bench": ("lab.commands.bench:bench_app", "measure speed and memory against baselines"),
    "doctor": ("lab.commands.doctor:doctor_command", "show this machine's hardware and packages, test the lab on it"),
}
"""Name -> "module:function" or, with subcommands, "module:group" of a typer app; and one line of help."""
PASS_THROUGH = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def build_app() -> typer.Typer:
    """Builds the `lab` command, whose subcommands import their module when they are called."""
    app = typer.Typer(
        cls=OneSentenceGroup,
        help="A laboratory for ablating multi-token prediction: studies, runs, data, reports.",
        epilog="Start with: lab study list",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, (target, summary) in COMMANDS.items():
        app.command(name, help=summary, context_settings=PASS_THROUGH)(lazy_command(name, target))
    return app


def lazy_command(name: str, target: str) -> Callable[[typer.Context], None]:
    """Returns a command that imports its target when it is called and passes all arguments on."""

    def call(context: typer.Context) -> None:
        load_command(name, target)([name, *context.args], prog_name="lab")

    return call


def load_command(name: str, target: str) -> typer.Typer:
    """Imports a command and returns an app that contains it under this name."""
    module, _, attribute = target.partition(":")
    command = getattr(import_module(module), attribute)
    app = typer.Typer(cls=OneSentenceGroup, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(lambda: None)  # with a callback, typer keeps the name of a single command
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name)(command)
    return app


def main() -> None:
    """Runs one command. Exits with 0 if it is done, 1 if the work failed, 2 if the input was wrong.

    An error that comes from a part of another package is work that failed. With `--json`, standard output has the
    answer and nothing else, whatever such parts print.
    """
    prepare_streams()
    if outside := sys.modules.get("generators.foundation.outside"):  # an earlier command of this process imported it
        outside.PARTS_IN_USE.clear()
    try:
        with answers_alone() if "--json" in sys.argv and "--help" not in sys.argv else nullcontext():
            build_app()()
    except UserError as error:
        sys.exit(report_error(error, 2))
    except WorkFailed as error:
        sys.exit(report_error(error, 1))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (Exception, SystemExit) as error:
        outside = sys.modules.get("generators.foundation.outside")  # importing it here would slow down `lab --help`
        failure = outside.blame(error) if outside else None
        if failure is None:
            raise
        sys.exit(report_error(failure, 1))


def report_error(error: Exception, code: int) -> int:
    """Writes an error to standard error on one line and returns the exit code."""
    sys.stderr.write(f"lab: {' '.join(str(error).splitlines())}\n")
    return code


if __name__ == "__main__":
    main()
