import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Records of 10 MB, a topic of 200 partitions, a thousand topics. */
final class Sizes {
    private static final int LARGE = 10 * 1024 * 1024;
    private static final int PARTITIONS = 200;
    private static final int TOPICS = 1000;
    private static final int BATCH = 100;

    private Sizes() {}

    static Map<String, Object> largeRecords(Run run) throws Exception {
        String topic = run.topic("large", 1, Map.of("max.message.bytes", "12000000"));
        KafkaProducer<byte[], byte[]> producer = run.producer("producer", Map.of(
                "max.request.size", "12000000", "compression.type", "none"));
        Records.Log sent = new Records.Log();
        for (int i = 0; i < 3; i++) {
            byte[] value = new byte[LARGE];
            new Random(i).nextBytes(value);
            ProducerRecord<byte[], byte[]> record =
                    new ProducerRecord<>(topic, 0, 1_700_000_000_000L + i, null, value);
            Produce.send(run, producer, sent, record).get(120, TimeUnit.SECONDS);
        }
        producer.close();
        return verify(run, topic, 1, sent);
    }

    static Map<String, Object> manyPartitions(Run run) throws Exception {
        String topic = run.topic("wide", PARTITIONS, Map.of());
        TopicDescription found = Topics.await(run, topic, PARTITIONS);
        KafkaProducer<byte[], byte[]> producer = run.producer("producer", Map.of());
        Records.Log sent = new Records.Log();
        for (int i = 0; i < 3 * PARTITIONS; i++) {
            Produce.send(run, producer, sent, Records.make(topic, i % PARTITIONS, i));
        }
        producer.close();
        Map<String, Object> agree = verify(run, topic, PARTITIONS, sent);
        agree.put("leaders", found.partitions().stream().map(it -> it.leader().id()).distinct()
                .count());
        Topics.get(run.admin.deleteTopics(List.of(topic)).all());
        return agree;
    }

    private static Map<String, Object> verify(Run run, String topic, int partitions,
            Records.Log sent) throws Exception {
        KafkaConsumer<byte[], byte[]> consumer = run.consumer("consumer", Map.of());
        Records.Log received = Records.readAll(run, consumer, topic, partitions, sent.count);
        consumer.close();
        Run.checkEqual(sent.hash(), received.hash(), "digest of " + topic);
        Map<String, Object> agree = new LinkedHashMap<>();
        agree.put("records", received.count);
        agree.put("digest", received.hash());
        return agree;
    }

    static Map<String, Object> manyTopics(Run run) throws Exception {
        List<List<String>> batches = new ArrayList<>();
        for (int first = 0; first < TOPICS; first += BATCH) {
            List<String> names = new ArrayList<>();
            List<NewTopic> topics = new ArrayList<>();
            for (int i = first; i < first + BATCH; i++) {
                names.add(run.name("t" + i));
                topics.add(new NewTopic(run.name("t" + i), 1, (short) 1));
            }
            run.admin.createTopics(topics).all().get(120, TimeUnit.SECONDS);
            batches.add(names);
        }
        List<String> all = batches.stream().flatMap(List::stream).toList();
        Map<String, Object> agree = new LinkedHashMap<>();
        Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(120), "a thousand topics");
        while (!Topics.get(run.admin.listTopics().names()).containsAll(all)) {
            deadline.check("not all are listed");
        }
        agree.put("listed", all.size());
        agree.put("described", described(run, all, deadline));
        agree.put("offsets", run.awaitLeaders(
                all.stream().map(name -> new TopicPartition(name, 0)).toList()));
        for (List<String> names : batches) {
            run.admin.deleteTopics(names).all().get(120, TimeUnit.SECONDS);
        }
        Topics.gone(run, all);
        return agree;
    }

    private static int described(Run run, List<String> all, Run.Deadline deadline)
            throws Exception {
        while (true) {
            try {
                Map<String, TopicDescription> found = run.admin.describeTopics(all).allTopicNames()
                        .get(120, TimeUnit.SECONDS);
                if (found.values().stream().allMatch(
                        it -> it.partitions().size() == 1 && it.partitions().get(0).leader() != null)) {
                    return found.size();
                }
                deadline.check("not all have a leader");
            } catch (ExecutionException failure) {
                // The broker that was asked may not have heard of all of them.
                deadline.check(failure);
            }
        }
    }
}
