"""The errors of a command line that does not fit its command, each as one sentence."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from generators.foundation.errors import UserError

UsageError: Any = typer.BadParameter.__base__  # typer has click inside, or needs it, depending on its version
NUMBERS = {"int": "should be a valid integer", "float": "should be a valid number"}
"""The start of a kind's name in messages of typer before 0.29 -> what later versions say."""
PATH_FAULTS = {"is a file": "is a file, not a folder", "is a directory": "is a folder, not a file"}


class OneSentenceGroup(TyperGroup):
    """A group of commands whose usage errors, and those of its commands, are UserErrors."""

    def make_context(self, *arguments: Any, **extra: Any) -> Any:
        with usage_sentences():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: Any) -> Any:
        with usage_sentences():
            return super().invoke(ctx)


@contextmanager
def usage_sentences() -> Iterator[None]:
    """Turns a usage error into a UserError. The help that a group prints when it has no arguments stays as it is."""
    try:
        yield
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        raise UserError(usage_sentence(error)) from None


def usage_sentence(error: Any) -> str:
    """Returns the option or argument that a usage error is about, its value, and what would be right."""
    context, message = error.ctx, error.message.removeprefix("Value error, ").rstrip(".")
    path = context.command_path if context else "lab"
    parameter, name = getattr(error, "param", None), getattr(error, "option_name", None)
    if type(error).__name__ == "MissingParameter":
        return f"{path}: {_name(parameter, context)} is missing{_meaning(parameter)}"
    if parameter is not None:
        return _value_sentence(error, message)
    if type(error).__name__ == "NoSuchOption":
        names = [option for known in context.command.get_params(context) for option in _options(known)]
        return f"{path} {name}: no such option; {_nearest(str(name), names)}"
    if name is not None:  # an option without its value, or a flag with one; typer gives no context
        return str(message).replace(f"Option {name!r}", name)
    if command := re.match("No such command '(.*?)'", message):
        return f"{path} {command[1]}: no such command; {_nearest(command[1], list(context.command.commands))}"
    if extra := re.search(r"unexpected extra arguments?.*? \((.*)\)$", message):
        names = [_name(known, context) for known in context.command.params if known.param_type_name == "argument"]
        return f"{path}: unexpected argument {extra[1]}; it takes {' '.join(names) or 'no arguments'}"
    return f"{path}: {message}"


def _value_sentence(error: Any, message: str) -> str:
    """Returns the sentence on a value that does not fit its option or argument."""
    from generators.foundation.settings import PLAIN_WORDS  # here, because it would slow down `lab --help`

    name, cause = _name(error.param, error.ctx), error.__cause__
    of_path = re.match(r"\w+ '(.*)' (.*)", message)
    in_message = re.match("'(.*?)' is not", message)
    if of_path:
        return f"{name} {of_path[1]}: {PATH_FAULTS.get(of_path[2], of_path[2])}"
    if ranged := re.match("(.*) is not in the range (.*)", message):  # typer before 0.29
        bound = re.sub("^x>=", "greater than or equal to ", ranged[2])
        return f"{name} {ranged[1]}: should be {bound if bound != ranged[2] else f'in the range {bound}'}"
    value = in_message[1] if in_message else cause.errors()[0]["input"] if hasattr(cause, "errors") else None
    subject = name if value is None else f"{name} {shlex.quote(str(value))}"
    if choices := _choices(error.param):
        return f"{subject}: no such value; {_nearest(str(value), choices)}"
    message = re.sub("'.*?' is not a valid (int|float).*", lambda kind: NUMBERS[kind[1]], message)
    for words, plain in PLAIN_WORDS.items():
        message = message.replace(words, plain)
    return f"{subject}: {message.partition(', unable')[0]}"


def _name(parameter: Any, context: Any) -> str:
    """Returns the name of an option, of the variable that gave its value, or of an argument as the help shows it."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    source = context.get_parameter_source(parameter.name) if context else None
    return str(parameter.envvar if source and source.name == "ENVIRONMENT" else parameter.opts[0])


def _meaning(parameter: Any) -> str:
    return f": {parameter.help}" if parameter.help else ""


def _options(parameter: Any) -> list[str]:
    """Returns the spellings of an option; nothing for an argument."""
    return [] if parameter.param_type_name == "argument" else [*parameter.opts, *parameter.secondary_opts]


def _choices(parameter: Any) -> list[str]:
    holder = getattr(parameter, "type_descriptor", None) or parameter.type
    return [str(choice) for choice in getattr(holder, "choices", None) or ()]


def _nearest(word: str, names: list[str]) -> str:
    from generators.foundation.settings import suggestion  # here, because it would slow down `lab --help`

    return suggestion(word, names)
