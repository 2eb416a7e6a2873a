"""The actions of `manage.py readmodels`, one module each. To add one: write its module, name it in ACTIONS."""

from collections.abc import Mapping

from readmodels.cli.base import Action
from readmodels.cli.dead_letters import DeadLetters
from readmodels.cli.list import List
from readmodels.cli.relay import Relay
from readmodels.cli.status import Status
from readmodels.cli.touched import Touched
from readmodels.cli.verify import Verify
from readmodels.cli.why import Why

# In the order in which --help lists them.
ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        List(),
        Status(),
        Verify(),
        Why(),
        Touched(),
        DeadLetters(),
        Relay(),
    )
}
