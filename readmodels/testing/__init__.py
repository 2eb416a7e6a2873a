"""The test kit: read models tried on real servers, inside ordinary tests (docs/how-to/test-a-read-model.md).

A scenario reads given, when, then; the law says that nothing differs from a fresh build; an attack has writes and
deliveries interleaved, duplicated, delayed and crashed by chance.
"""

from readmodels.testing.adversary import attack
from readmodels.testing.attempt import Attempt
from readmodels.testing.beginning import reset
from readmodels.testing.given import Scenario, scenario
from readmodels.testing.law import TRANSIENT, assert_law, drain

__all__ = ["TRANSIENT", "Attempt", "Scenario", "assert_law", "attack", "drain", "reset", "scenario"]
