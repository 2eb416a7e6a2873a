"""The actions of `manage.py readmodels`, one module each. To add one: write its module, name it in ACTIONS."""

from collections.abc import Mapping

from readmodels.cli.base import Action
from readmodels.cli.cancel import Cancel
from readmodels.cli.dead_letters import DeadLetters
from readmodels.cli.deploy import Deploy
from readmodels.cli.fingerprints import Fingerprints
from readmodels.cli.list import List
from readmodels.cli.rebuild import Rebuild
from readmodels.cli.relay import Relay
from readmodels.cli.rollback import Rollback
from readmodels.cli.status import Status
from readmodels.cli.switch import Switch
from readmodels.cli.touched import Touched
from readmodels.cli.verify import Verify
from readmodels.cli.why import Why

# In the order in which --help lists them.
IN_ORDER: tuple[Action, ...] = (
    List(),
    Status(),
    Fingerprints(),
    Deploy(),
    Rebuild(),
    Switch(),
    Rollback(),
    Cancel(),
    Verify(),
    Why(),
    Touched(),
    DeadLetters(),
    Relay(),
)
ACTIONS: Mapping[str, Action] = {action.name: action for action in IN_ORDER}
