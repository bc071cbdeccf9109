"""A static member goes and comes back to the same partitions; its double is fenced."""

from confluent_kafka import KafkaError

from shared import Deadline, check_equal

PARTITIONS = 6


def play(run):
    topic = run.topic("work", PARTITIONS)
    group = run.name("group")

    errors = []

    def join(role, instance):
        config = {
            "error_cb": lambda error: error.fatal() and errors.append(error),
            "group.id": group,
            "group.instance.id": instance,
            "session.timeout.ms": 45000,
            "heartbeat.interval.ms": 500,
        }
        consumer = run.consumer(role, config)
        consumer.subscribe([topic])
        return consumer

    def members():
        found = run.admin.describe_consumer_groups([group])[group].result(60)
        return sorted(member.group_instance_id for member in found.members)

    a, b = join("a", "a"), join("b", "b")
    share(a, b)
    before, beside = partitions(b), partitions(a)
    agree = {"members": members()}
    b.close()

    again = join("again", "b")
    share(a, again)
    check_equal(before, partitions(again), "the partitions of the member")
    check_equal(beside, partitions(a), "the partitions of the other")
    agree["kept"] = len(before)

    twin = join("double", "b")
    agree["fenced"] = fenced(errors, [again, twin, a])
    agree["members_left"] = members()
    return agree


def partitions(consumer):
    return sorted(p.partition for p in consumer.assignment())


def share(a, b):
    """Until each has its half."""
    deadline = Deadline(120, "two static members")
    while [len(partitions(a)), len(partitions(b))] != [PARTITIONS // 2] * 2:
        deadline.check(f"{partitions(a)} and {partitions(b)}")
        a.poll(0.1)
        b.poll(0.1)


def fenced(errors, members):
    """The fatal error that one of them gets when it polls, or by its callback."""
    deadline = Deadline(120, "fencing")
    while not errors:
        deadline.check("not fenced")
        for member in members:
            message = member.poll(0.1)
            if message is not None and message.error() is not None:
                errors.append(message.error())
    check_equal(KafkaError.FENCED_INSTANCE_ID, origin(errors[0]), "the error")
    return "FENCED_INSTANCE_ID"


def origin(error):
    """What is behind a fatal error: librdkafka says it in a text."""
    if "Static consumer fenced" in error.str():
        return KafkaError.FENCED_INSTANCE_ID
    return error.code()
