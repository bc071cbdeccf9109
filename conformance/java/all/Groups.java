import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;

/** A second member joins and leaves a group; every record is consumed once, offsets stay. */
final class Groups {
    private static final int PARTITIONS = 6;
    private static final int WAVE = 300;
    private static final Duration STEP = Duration.ofSeconds(120);

    private final Run run;
    private final String topic;
    private final String group;
    private final Map<String, String> config = new HashMap<>();
    private final KafkaProducer<byte[], byte[]> producer;
    private final Set<String> seen = new HashSet<>();
    private final Records.Log sent = new Records.Log();
    private int sentCount;
    private int duplicates;

    private Groups(Run run, String protocol) throws Exception {
        this.run = run;
        this.topic = run.topic("work", PARTITIONS, Map.of());
        this.group = run.name("group");
        this.producer = run.producer("producer", Map.of());
        config.put("group.id", group);
        config.put("group.protocol", protocol);
        if (protocol.equals("classic")) {
            config.put("heartbeat.interval.ms", "500");
            config.put("session.timeout.ms", "10000");
        }
    }

    static Map<String, Object> run(Run run, String protocol) throws Exception {
        return new Groups(run, protocol).play();
    }

    private Map<String, Object> play() throws Exception {
        Map<String, Object> agree = new LinkedHashMap<>();
        KafkaConsumer<byte[], byte[]> a = join("a");
        wave();
        consume(List.of(a), List.of(PARTITIONS));
        agree.put("alone", a.assignment().size());

        KafkaConsumer<byte[], byte[]> b = join("b");
        consume(List.of(a, b), List.of(PARTITIONS / 2, PARTITIONS / 2));
        wave();
        consume(List.of(a, b), List.of(PARTITIONS / 2, PARTITIONS / 2));
        agree.put("together", a.assignment().size() + b.assignment().size());
        ConsumerGroupDescription description = run.admin.describeConsumerGroups(List.of(group))
                .describedGroups().get(group).get(60, TimeUnit.SECONDS);
        Run.checkEqual(2, description.members().size(), "members of " + group);

        b.close();
        consume(List.of(a), List.of(PARTITIONS));
        wave();
        consume(List.of(a), List.of(PARTITIONS));
        a.close();
        agree.put("records", seen.size());
        agree.put("duplicates", duplicates);
        agree.put("committed", committed());
        run.admin.deleteConsumerGroups(List.of(group)).all().get(60, TimeUnit.SECONDS);
        return agree;
    }

    private KafkaConsumer<byte[], byte[]> join(String member) {
        KafkaConsumer<byte[], byte[]> consumer = run.consumer(member, config);
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    private void wave() {
        for (int i = 0; i < WAVE; i++, sentCount++) {
            Produce.send(run, producer, sent,
                    Records.make(topic, sentCount % PARTITIONS, sentCount));
        }
        producer.flush();
    }

    /** Polls the members in turn until all have been seen and the partitions lie as they should. */
    private void consume(List<KafkaConsumer<byte[], byte[]>> members, List<Integer> shares) {
        Run.Deadline deadline = new Run.Deadline(STEP, "consuming with " + members.size());
        while (seen.size() < sentCount || !shares(members).equals(shares)) {
            deadline.check(seen.size() + " of " + sentCount + " records, " + shares(members));
            for (KafkaConsumer<byte[], byte[]> member : members) {
                int before = seen.size();
                for (ConsumerRecord<byte[], byte[]> r : member.poll(Duration.ofMillis(100))) {
                    run.receivedBytes += Records.size(r.key(), r.value());
                    if (!seen.add(r.partition() + "/" + r.offset())) {
                        duplicates++;
                    }
                }
                if (seen.size() > before) {
                    // Committed at once, so that no rebalance makes anybody read twice.
                    member.commitSync(Duration.ofSeconds(60));
                }
            }
        }
    }

    private static List<Integer> shares(List<KafkaConsumer<byte[], byte[]>> members) {
        List<Integer> shares = new ArrayList<>();
        members.forEach(member -> shares.add(member.assignment().size()));
        return shares;
    }

    private long committed() throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = run.admin.listConsumerGroupOffsets(group)
                .partitionsToOffsetAndMetadata().get(60, TimeUnit.SECONDS);
        long sum = offsets.values().stream().mapToLong(OffsetAndMetadata::offset).sum();
        Run.checkEqual((long) sentCount, sum, "sum of the committed offsets");
        return sum;
    }
}
