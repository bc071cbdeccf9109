"""Runs one scenario with librdkafka."""

import bad_certificates
import flow
import follower
import groups
import groups_admin
import produce
import sizes
import static_members
import topics
import transactions
from run import Run
from shared import EVENTS, main

SCENARIOS = {
    "acks_0": lambda run: produce.acks(run, "0"),
    "acks_1": lambda run: produce.acks(run, "1"),
    "acks_all": lambda run: produce.acks(run, "all"),
    "compression": produce.compression,
    "idempotent": produce.idempotent,
    "transactions": transactions.play,
    "group_classic": lambda run: groups.play(run, "classic"),
    "group_consumer": lambda run: groups.play(run, "consumer"),
    "group_static": static_members.play,
    "groups_admin": groups_admin.play,
    "topics": topics.play,
    "bad_certificates": bad_certificates.play,
    "cluster": topics.cluster,
    "follower_fetch": follower.play,
    "large_records": sizes.large_records,
    "many_partitions": sizes.many_partitions,
    "many_topics": sizes.many_topics,
} | dict.fromkeys(EVENTS, flow.play)


if __name__ == "__main__":
    main(Run, SCENARIOS)
