"""`manage.py relay`: the action `readmodels relay` under a name of its own."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand

from readmodels.cli.base import Exit, Output
from readmodels.cli.relay import Relay
from readmodels.errors import MayEvict

RELAY = Relay()


class Command(BaseCommand):
    help = RELAY.description

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = RELAY.epilog
        RELAY.arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            RELAY.run(options, Output(cast(TextIO, self.stdout), is_json=False))
        except MayEvict as error:
            self.stderr.write(str(error))
            sys.exit(Exit.REFUSED)
