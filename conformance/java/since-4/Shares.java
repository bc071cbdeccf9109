import java.time.Duration;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Two members of a share group take records from the same partitions: each goes to one of them. */
public final class Shares implements Main.Scenario {
    private static final int RECORDS = 300;

    @Override
    public Map<String, Object> run(Run run) throws Exception {
        String topic = run.topic("shared");
        String group = run.name("group");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        ConfigEntry earliest = new ConfigEntry("share.auto.offset.reset", "earliest");
        Topics.get(run.admin.incrementalAlterConfigs(Map.of(resource,
                List.of(new AlterConfigOp(earliest, AlterConfigOp.OpType.SET)))).all());
        KafkaProducer<byte[], byte[]> producer = run.producer("producer", Map.of());
        Records.Log sent = new Records.Log();
        for (int i = 0; i < RECORDS; i++) {
            Produce.send(run, producer, sent, Records.make(topic, i % Run.PARTITIONS, i));
        }
        producer.flush();
        Set<String> seen = new HashSet<>();
        try (KafkaShareConsumer<byte[], byte[]> a = member(run, "a", group, topic);
                KafkaShareConsumer<byte[], byte[]> b = member(run, "b", group, topic)) {
            Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(120), "the share group");
            while (seen.size() < RECORDS) {
                deadline.check(seen.size());
                take(run, a, seen);
                take(run, b, seen);
            }
            a.commitSync();
            b.commitSync();
        }
        Map<String, Object> agree = new LinkedHashMap<>();
        agree.put("records", seen.size());
        agree.put("described", Topics.get(
                run.admin.describeShareGroups(List.of(group)).all()).size());
        return agree;
    }

    private static KafkaShareConsumer<byte[], byte[]> member(Run run, String role, String group,
            String topic) {
        Map<String, Object> config = run.base(role);
        config.put("group.id", group);
        KafkaShareConsumer<byte[], byte[]> consumer = new KafkaShareConsumer<>(
                config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    private static void take(Run run, KafkaShareConsumer<byte[], byte[]> member,
            Set<String> seen) {
        for (ConsumerRecord<byte[], byte[]> r : member.poll(Duration.ofMillis(200))) {
            seen.add(r.partition() + "/" + r.offset());
            run.receivedBytes += Records.size(r.key(), r.value());
        }
    }
}
