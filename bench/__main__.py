"""`python -m bench`: every scenario, or those named, each in a process of its own; docs/benchmarks.md says the rest."""

import argparse
import subprocess
import sys
from dataclasses import replace
from importlib import import_module

from bench import report, result
from bench.ground import standing

SCENARIOS = (
    "read_by_id",
    "commit_to_visible",
    "projection",
    "write_path",
    "rebuild",
    "fan_out",
    "size",
    "growth",
)


def main() -> int:
    """The exit code: 0 once all that was asked for was measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--smoke", action="store_true", help="tiny, to see that it works; writes no document")
    asked = parser.parse_args()
    if unknown := [name for name in asked.scenarios if name not in SCENARIOS]:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    chosen = asked.scenarios or SCENARIOS
    if len(chosen) == 1:
        return _run(chosen[0], asked.smoke)
    for name in chosen:
        print(f"--- {name}", file=sys.stderr, flush=True)
        words = [sys.executable, "-m", "bench", name, *(["--smoke"] if asked.smoke else [])]
        if code := subprocess.run(words, check=False).returncode:
            return code
    return 0


def _run(name: str, is_smoke: bool) -> int:
    with standing(is_smoke) as ground:
        found = import_module(f"bench.{name}").run(ground)
    print(report.text(found), flush=True)
    if not is_smoke:
        result.save(replace(found, where=report.here()), report.FOLDER / f"{name}.json")
        report.write(SCENARIOS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
