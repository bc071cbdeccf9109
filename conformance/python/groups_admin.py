"""Groups are listed and described, their offsets set and looked up, and they go."""

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from run import error_of
from shared import PARTITIONS, check_equal
from transactions import committed_offsets


def play(run):
    topic = run.topic("records")
    groups = [run.name(name) for name in ["one", "two", "three"]]
    for group in groups:
        places = [TopicPartition(topic, p, p + 5) for p in range(PARTITIONS)]
        wanted = ConsumerGroupTopicPartitions(group, places)
        run.admin.alter_consumer_group_offsets([wanted])[group].result(60)
    agree = {"listed": listed(run, groups)}
    agree["described"] = {
        group.removeprefix(run.prefix): len(future.result(60).members)
        for group, future in run.admin.describe_consumer_groups(groups).items()
    }
    offsets = committed_offsets(run, groups[0], topic, PARTITIONS)
    check_equal({p: p + 5 for p in range(PARTITIONS)}, offsets, "offsets")
    for future in run.admin.delete_consumer_groups(groups).values():
        future.result(60)
    agree["left"] = listed(run, groups)
    agree["missing"] = error_of(run.admin.delete_consumer_groups(groups[:1]))
    return agree


def listed(run, groups):
    found = run.admin.list_consumer_groups(request_timeout=60).result(60)
    check_equal([], found.errors, "errors")
    return len({group.group_id for group in found.valid} & set(groups))
