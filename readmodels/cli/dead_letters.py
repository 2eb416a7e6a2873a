"""`readmodels dead-letters`: what could not be built, and what to do with it."""

from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from readmodels import deadletters
from readmodels.cli.base import Action, Exit, Output, Refused, number, read_model
from readmodels.deadletters import DeadLetter

TASKS = ("list", "show", "retry", "discard")
SHOWN = 100


class DeadLetters(Action):
    """List, show, retry or discard documents that could not be built.

    A document that can't be built or stored is tried five times and then parked with its error, so that everything
    else goes on. Mend its rows, and their next change makes it. Mend the code or a server, and say `retry`: the bulk
    lane tries it again, and parks it anew where it fails still. `discard` forgets it: the document stays as it is until
    its next change, and queries with the token of the parked write are answered as if it had been applied.
    """

    name = "dead-letters"
    exits = {
        Exit.FINE: "there are none (list), or what was asked for is done",
        Exit.NO: "there are some (list), or one of these IDs is of none any more",
    }
    examples = (
        "dead-letters",
        "dead-letters list --read-model OrderDetail --json",
        "dead-letters show 3",
        "dead-letters retry 3 4",
        "dead-letters retry --all",
        "dead-letters discard 3",
    )

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do, and with which."""
        parser.add_argument("task", nargs="?", default="list", choices=TASKS, help="(%(default)s)")
        parser.add_argument("ids", nargs="*", type=number, metavar="ID", help="as `list` shows it")
        parser.add_argument("--all", action="store_true", help="retry every one")
        parser.add_argument("--read-model", type=read_model, metavar="NAME", help="list or retry those of this one")
        parser.add_argument(
            "--limit", type=number, default=SHOWN, help="how many are listed, newest first (%(default)s)"
        )

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """One of the tasks."""
        task, ids = options["task"], options["ids"]
        require_sense(task, ids, is_all=options["all"], has_read_model=options["read_model"] is not None)
        if task == "list":
            return self.show_list(options["read_model"], options["limit"], out)
        if task == "show":
            return self.show(ids, out)
        if task == "discard":
            return self.each(ids, deadletters.discard, "discarded", out)
        return self.each(ids or deadletters.ids(options["read_model"]), deadletters.retry, "retried", out)

    def show_list(self, read_model: str | None, limit: int, out: Output) -> Exit:
        """The newest; Exit.NO where there are any."""
        found, count = deadletters.listed(read_model, limit), deadletters.count(read_model)
        out.document({"dead_letters": [asdict(letter) for letter in found], "count": count})
        out.rows([summary(letter) for letter in found], "no dead letters")
        if count > len(found):
            out.line(f"{len(found)} of {count} are shown; --limit shows more")
        return Exit.NO if count else Exit.FINE

    def show(self, ids: Sequence[int], out: Output) -> Exit:
        """All that is known of them, the traceback too."""
        found = [letter for letter in map(deadletters.found, ids) if letter is not None]
        missing = sorted(set(ids) - {letter.id for letter in found})
        out.document({"dead_letters": [asdict(letter) for letter in found], "missing": missing})
        for letter in found:
            out.rows([{"": name, "dead letter": value} for name, value in summary(letter).items()])
            out.line(letter.traceback)
        return tell_of_missing(missing, out)

    def each(self, ids: Sequence[int], do: Callable[[int], bool], done: str, out: Output) -> Exit:
        """Done for each of them that there still is."""
        is_done = {id: do(id) for id in ids}
        missing = [id for id, is_so in is_done.items() if not is_so]
        out.document({done: [id for id, is_so in is_done.items() if is_so], "missing": missing})
        out.line(f"{done} {sum(is_done.values())}")
        return tell_of_missing(missing, out)


def require_sense(task: str, ids: Sequence[int], *, is_all: bool, has_read_model: bool) -> None:
    """Raises Refused where the task and what it is to be done with don't go together."""
    if is_all and task != "retry":
        raise Refused(f"{task} --all; accepted: retry --all")
    if has_read_model and (task not in ("list", "retry") or ids):
        raise Refused("--read-model; accepted with list, and with retry --all")
    if task == "list" and ids:
        raise Refused(f"list takes no ID; accepted: show {ids[0]}")
    if task == "retry" and bool(ids) == is_all:
        raise Refused("retry; accepted: either IDs, as `dead-letters list` shows them, or --all")
    if task in ("show", "discard") and not ids:
        raise Refused(f"{task}; accepted: one ID or more, as `dead-letters list` shows them")


def summary(letter: DeadLetter) -> dict[str, Any]:
    """One row of the list; the error's first line."""
    return {
        "id": letter.id,
        "read_model": letter.read_model,
        "generation": letter.generation,
        "key": letter.key,
        "attempts": letter.attempts,
        "parked_at": letter.parked_at,
        "error": next(iter(letter.error.splitlines()), ""),
    }


def tell_of_missing(ids: Sequence[int], out: Output) -> Exit:
    """Someone was first, or the document was made meanwhile."""
    for id in ids:
        out.line(f"{id} is no dead letter (any more)")
    return Exit.NO if ids else Exit.FINE
