"""Runs drills: the real binary, PostgreSQL and Redis, jobs by the thousand, and something that breaks all the time.

The verdict of each: every acknowledged job has run to its end, what ran twice was in flight where something broke, and
`jobs fsck` finds every queue consistent.
"""
import argparse
import pathlib
import random
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from drills import DRILLS  # noqa: E402
from stage import Stage  # noqa: E402

JOBS, JOBS_SHORT = 80_000, 4_000
LIMIT, LIMIT_SHORT = 900, 120  # seconds that a drill may take to break things


def names():
    return "\n".join(f"  {name:12}{drill.summary}" for name, drill in DRILLS.items())


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/drill", description=__doc__, epilog=f"drills:\n{names()}",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="+", help="of a drill, or all")
    parser.add_argument("--jobs", type=int, help=f"acknowledged in each drill (default {JOBS}, with --short {JOBS_SHORT})")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of what breaks when")
    parser.add_argument("--short", action="store_true", help="seconds instead of minutes")
    options = parser.parse_args()
    unknown = [name for name in options.name if name != "all" and name not in DRILLS]
    if unknown:
        parser.error(f"no drill is named {unknown[0]}; there are:\n{names()}")
    options.name = list(DRILLS) if "all" in options.name else options.name
    options.jobs = options.jobs or (JOBS_SHORT if options.short else JOBS)
    return options


def play(stage, options):
    """Breaks things while clients enqueue, until enough has been enqueued and broken."""
    drill, least = stage.drill, stage.drill.least[options.short]
    deadline = time.monotonic() + (LIMIT_SHORT if options.short else LIMIT)
    stage.start_enqueueing()
    try:
        while stage.ledger.n_acknowledged < options.jobs or stage.disturbances < least:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {stage.ledger.n_acknowledged} jobs were acknowledged in time")
            time.sleep(stage.random.uniform(*drill.every))
            drill.disturb(stage)
            stage.disturbances += 1
        stage.stop_enqueueing()
        stage.settle(120)
    except (OSError, RuntimeError) as error:  # TimeoutError is an OSError
        stage.wrong.append(f"{type(error).__name__}: {error}")
        stage.stop_enqueueing()


def run(drill, options):
    """Runs one drill; returns whether all was as promised."""
    begun = time.monotonic()
    with Stage(drill, options.seed) as stage:
        play(stage, options)
        verdict = stage.ledger.judge()
        wrong = [*stage.wrong, stage.fsck(), drill.finish(stage) if drill.finish else ""]
        wrong = [text for text in wrong if text]
        good = verdict.is_good() and not wrong
        print(f"{drill.name:12}{'ok' if good else 'FAILED':8}{verdict.enqueued:>9,} enqueued {verdict.acknowledged:>9,} "
              f"acknowledged {verdict.run:>9,} run {len(verdict.lost):>5,} lost {len(verdict.twice):>6,} run twice "
              f"({len(verdict.twice) - len(verdict.unexcused):,} in flight) {stage.disturbances:>3} breaks "
              f"{time.monotonic() - begun:>6.1f} s", flush=True)
        if not good:
            explain(stage, verdict, wrong)
    return good


def explain(stage, verdict, wrong):
    for text in wrong:
        print(f"  {text}")
    for what, numbers in (("lost", verdict.lost), ("run twice without reason", verdict.unexcused)):
        if numbers:
            print(f"  {len(numbers)} {what}, such as")
        for number in sorted(numbers)[:3]:
            print(stage.ledger.tell(number))
    print(f"  broke: {[(pids and sorted(pids), len(ids)) for pids, ids in stage.ledger.breaks]}")
    for app in stage.apps:
        print("\n".join(f"  | {line}" for line in app.process.lines[-30:]))


def main():
    options = arguments()
    print(f"drill: seed {options.seed}", flush=True)
    failed = [name for name in options.name if not run(DRILLS[name], options)]
    if failed:
        sys.exit(f"drill: failed: {' '.join(failed)}; again: scripts/drill {' '.join(failed)} --seed {options.seed}"
                 f" --jobs {options.jobs}{' --short' if options.short else ''}")


if __name__ == "__main__":
    main()
