"""Runs one scenario with librdkafka: main.py SCENARIO BOOTSTRAP PREFIX."""

import os
import sys
import traceback

import groups
import produce
import restart
import topics
import transactions
from run import Run, report_failure

SCENARIOS = {
    "acks_0": lambda run: produce.acks(run, "0"),
    "acks_1": lambda run: produce.acks(run, "1"),
    "acks_all": lambda run: produce.acks(run, "all"),
    "compression": produce.compression,
    "idempotent": produce.idempotent,
    "transactions": transactions.play,
    "group_classic": lambda run: groups.play(run, "classic"),
    "group_consumer": lambda run: groups.play(run, "consumer"),
    "topics": topics.play,
    "cluster": topics.cluster,
    "restart": restart.play,
}


def main() -> int:
    scenario, bootstrap, prefix = sys.argv[1:]
    try:
        run = Run(bootstrap, prefix)
        run.report(SCENARIOS[scenario](run))
    except BaseException as failure:
        traceback.print_exc()
        report_failure(failure)
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Clients that are still open must not keep the process alive.
    os._exit(code)
