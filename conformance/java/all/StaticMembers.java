import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;

/** A static member goes and comes back to the same partitions; its double is fenced. */
final class StaticMembers {
    private static final int PARTITIONS = 6;
    private static final Duration STEP = Duration.ofSeconds(120);

    private final Run run;
    private final String topic;
    private final String group;

    private StaticMembers(Run run) throws Exception {
        this.run = run;
        this.topic = run.topic("work", PARTITIONS, Map.of());
        this.group = run.name("group");
    }

    static Map<String, Object> run(Run run) throws Exception {
        return new StaticMembers(run).play();
    }

    private Map<String, Object> play() throws Exception {
        KafkaConsumer<byte[], byte[]> a = join("a", "a");
        KafkaConsumer<byte[], byte[]> b = join("b", "b");
        share(a, b);
        Set<TopicPartition> before = Set.copyOf(b.assignment());
        Set<TopicPartition> beside = Set.copyOf(a.assignment());
        Map<String, Object> agree = new LinkedHashMap<>();
        agree.put("members", members());
        b.close();

        KafkaConsumer<byte[], byte[]> again = join("again", "b");
        share(a, again);
        Run.checkEqual(before, Set.copyOf(again.assignment()), "the partitions of the member");
        Run.checkEqual(beside, Set.copyOf(a.assignment()), "the partitions of the other");
        agree.put("kept", before.size());

        KafkaConsumer<byte[], byte[]> twin = join("double", "b");
        agree.put("fenced", fenced(again, twin, a));
        agree.put("members_left", members());
        return agree;
    }

    private KafkaConsumer<byte[], byte[]> join(String role, String instance) {
        KafkaConsumer<byte[], byte[]> consumer = run.consumer(role, Map.of("group.id", group,
                "group.instance.id", instance, "session.timeout.ms", "45000",
                "heartbeat.interval.ms", "500"));
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    /** Until each has its half. */
    private static void share(KafkaConsumer<byte[], byte[]> a, KafkaConsumer<byte[], byte[]> b) {
        Run.Deadline deadline = new Run.Deadline(STEP, "two static members");
        while (a.assignment().size() != PARTITIONS / 2 || b.assignment().size() != PARTITIONS / 2) {
            deadline.check(a.assignment() + " and " + b.assignment());
            a.poll(Duration.ofMillis(100));
            b.poll(Duration.ofMillis(100));
        }
    }

    private static String fenced(KafkaConsumer<byte[], byte[]> old,
            KafkaConsumer<byte[], byte[]> twin, KafkaConsumer<byte[], byte[]> other) {
        Run.Deadline deadline = new Run.Deadline(STEP, "fencing");
        while (true) {
            deadline.check("not fenced");
            twin.poll(Duration.ofMillis(100));
            other.poll(Duration.ofMillis(100));
            try {
                old.poll(Duration.ofMillis(100));
            } catch (FencedInstanceIdException expected) {
                return expected.getClass().getSimpleName();
            }
        }
    }

    private Set<String> members() throws Exception {
        ConsumerGroupDescription description = run.admin.describeConsumerGroups(List.of(group))
                .describedGroups().get(group).get(60, TimeUnit.SECONDS);
        Set<String> members = new TreeSet<>();
        description.members().forEach(it -> members.add(it.groupInstanceId().orElse("none")));
        return members;
    }
}
