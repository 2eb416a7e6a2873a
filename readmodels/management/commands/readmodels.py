"""`manage.py readmodels ACTION`: what the read models are doing, whether they are right, and what to do about it."""

import sys
from argparse import RawDescriptionHelpFormatter
from typing import Any, NoReturn, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from readmodels.cli import ACTIONS
from readmodels.cli.base import Exit, Output, Refused
from readmodels.errors import NotProjected, ReadModelError, StoreUnavailable


class Command(BaseCommand):
    help = "What the read models are doing, whether they are right, and what to do about it. Each ACTION has a --help."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        tell_in_one_line(parser)
        parser.epilog = "Exit codes: 0 fine, 1 the answer is no, 2 wrong arguments or a server that does not answer."
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar=" | ".join(ACTIONS))
        for action in ACTIONS.values():
            own = actions.add_parser(
                action.name,
                help=action.help,
                description=action.description,
                epilog=action.epilog,
                formatter_class=RawDescriptionHelpFormatter,
            )
            tell_in_one_line(own)
            if action.has_json:
                own.add_argument("--json", action="store_true", help="one JSON document, for machines")
            action.arguments(own)

    def handle(self, *args: Any, **options: Any) -> None:
        action = ACTIONS[options["action"]]
        try:
            code = action.run(options, Output(cast(TextIO, self.stdout), is_json=options.get("json", False)))
        except (Refused, Error, ReadModelError) as error:
            self.stderr.write(f"{action.name}: {reason(error)}")
            code = Exit.REFUSED
        if code:
            sys.exit(code)


def tell_in_one_line(parser: CommandParser) -> None:
    """Wrong arguments are told in one line, without the usage; --help says the rest."""

    def error(message: str) -> NoReturn:
        is_clear = "accepted" in message or "choose from" in message
        text = message if is_clear else f"{message}; --help tells what is accepted"
        if parser.called_from_command_line:
            parser.exit(Exit.REFUSED, f"{parser.prog}: {text}\n")
        raise CommandError(text)

    parser.error = error  # type: ignore[method-assign]  # Django makes its own parser, of no class that one could name


def reason(error: Exception) -> str:
    """One line that says which server, if it was one, and what is wrong."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if isinstance(error, Error):
        return f"PostgreSQL: {line}"
    is_of_redis = isinstance(error, StoreUnavailable) and not isinstance(error, NotProjected)
    return f"Redis: {line}" if is_of_redis else line
