import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Topics are created, described, changed, emptied and deleted. */
final class Topics {
    private Topics() {}

    static Map<String, Object> run(Run run) throws Exception {
        Map<String, Object> agree = new LinkedHashMap<>();
        List<String> names = create(run);
        agree.put("created", names.size());
        TopicDescription first = await(run, names.get(0), 3);
        agree.put("described", describe(run, first));
        Uuid id = first.topicId();
        Run.checkEqual(names.get(0), get(run.admin.describeTopics(
                TopicCollection.ofTopicIds(List.of(id))).allTopicIds()).get(id).name(), "by id");
        agree.put("exists", error(TopicExistsException.class,
                run.admin.createTopics(List.of(new NewTopic(names.get(0), 1, (short) 1))).all()));
        agree.put("configs", configs(run, names.get(0)));
        get(run.admin.createPartitions(Map.of(names.get(1), NewPartitions.increaseTo(5))).all());
        await(run, names.get(1), 5);
        agree.put("offsets", offsets(run, names.get(0)));
        get(run.admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
        get(run.admin.deleteTopics(names.subList(1, names.size())).all());
        gone(run, names);
        agree.put("missing", error(UnknownTopicOrPartitionException.class,
                run.admin.deleteTopics(names).all()));
        return agree;
    }

    private static List<String> create(Run run) throws Exception {
        List<String> names = new ArrayList<>();
        List<NewTopic> topics = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            names.add(run.name("topic-" + i));
            topics.add(new NewTopic(names.get(i), 3, (short) 3)
                    .configs(Map.of("segment.bytes", "12345678")));
        }
        get(run.admin.createTopics(topics).all());
        return names;
    }

    /** Brokers learn of a change one after the other: asks until the response is the new one. */
    static TopicDescription await(Run run, String name, int partitions) throws Exception {
        Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(60), "describing " + name);
        while (true) {
            try {
                TopicDescription description =
                        get(run.admin.describeTopics(List.of(name)).allTopicNames()).get(name);
                if (description.partitions().size() == partitions
                        && description.partitions().stream().allMatch(p -> p.leader() != null)) {
                    return description;
                }
                deadline.check(description);
            } catch (ExecutionException failure) {
                deadline.check(failure);
            }
        }
    }

    private static String describe(Run run, TopicDescription topic) throws Exception {
        Map<String, String> nodes = run.nodes();
        for (TopicPartitionInfo partition : topic.partitions()) {
            Run.checkEqual(3, partition.replicas().size(), "replicas");
            for (Node node : partition.replicas()) {
                Run.checkEqual(nodes.get(node.idString()), node.host() + ":" + node.port(),
                        "address of node " + node.idString());
            }
        }
        return topic.partitions().size() + " partitions";
    }

    private static String configs(Run run, String topic) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ConfigEntry change = new ConfigEntry("max.message.bytes", "123456");
        get(run.admin.incrementalAlterConfigs(Map.of(resource,
                List.of(new AlterConfigOp(change, AlterConfigOp.OpType.SET)))).all());
        Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(60), "the changed config");
        while (true) {
            Config config = get(run.admin.describeConfigs(List.of(resource)).all()).get(resource);
            String max = config.get("max.message.bytes").value();
            if (max.equals("123456")) {
                return max + " " + config.get("segment.bytes").value();
            }
            deadline.check(max);
        }
    }

    private static Map<String, Long> offsets(Run run, String topic) throws Exception {
        KafkaProducer<byte[], byte[]> producer = run.producer("producer", Map.of());
        Records.Log sent = new Records.Log();
        for (int i = 0; i < 30; i++) {
            Produce.send(run, producer, sent, Records.make(topic, i % 3, i));
        }
        producer.flush();
        TopicPartition partition = new TopicPartition(topic, 1);
        get(run.admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(4))).all());
        Map<String, Long> found = new HashMap<>();
        found.put("earliest", offset(run, partition, OffsetSpec.earliest()));
        found.put("latest", offset(run, partition, OffsetSpec.latest()));
        found.put("max_timestamp", offset(run, partition, OffsetSpec.maxTimestamp()));
        Run.checkEqual(Map.of("earliest", 4L, "latest", 10L, "max_timestamp", 9L), found,
                "offsets");
        return found;
    }

    private static long offset(Run run, TopicPartition partition, OffsetSpec spec)
            throws Exception {
        Map<TopicPartition, ListOffsetsResult.ListOffsetsResultInfo> found =
                get(run.admin.listOffsets(Map.of(partition, spec)).all());
        return found.get(partition).offset();
    }

    static void gone(Run run, List<String> names) throws Exception {
        Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(60), "topics to go");
        while (true) {
            Set<String> left = get(run.admin.listTopics().names());
            if (names.stream().noneMatch(left::contains)) {
                return;
            }
            deadline.check(left);
        }
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(60, TimeUnit.SECONDS);
    }

    /** {@code ok}, or the name of the error. */
    static String outcome(KafkaFuture<?> future) throws Exception {
        try {
            get(future);
            return "ok";
        } catch (ExecutionException failure) {
            return failure.getCause().getClass().getSimpleName();
        }
    }

    /** The error must be this one; returns the name that goes into the report. */
    static String error(Class<? extends Exception> expected, KafkaFuture<?> future)
            throws Exception {
        try {
            get(future);
        } catch (ExecutionException failure) {
            Run.check(expected.isInstance(failure.getCause()), "another error: " + failure);
            return expected.getSimpleName();
        }
        throw new IllegalStateException("no " + expected.getSimpleName());
    }
}
