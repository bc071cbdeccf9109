import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartitionInfo;

/** A consumer that says in which rack it stands reads from the replica there (KIP-392). */
final class FollowerFetch {
    private static final int RECORDS = 300;

    private FollowerFetch() {}

    static Map<String, Object> run(Run run) throws Exception {
        String topic = run.topic("near", 1, Map.of());
        KafkaProducer<byte[], byte[]> producer = run.producer("producer", Map.of());
        Records.Log sent = new Records.Log();
        for (int i = 0; i < RECORDS; i++) {
            Produce.send(run, producer, sent, Records.make(topic, 0, i));
        }
        producer.close();
        TopicPartitionInfo partition = Topics.await(run, topic, 1).partitions().get(0);
        int leader = partition.leader().id();
        int follower = partition.replicas().stream().map(Node::id).filter(id -> id != leader)
                .findFirst().orElseThrow();
        // The suite names the racks after the brokers.
        KafkaConsumer<byte[], byte[]> consumer = run.consumer("consumer",
                Map.of("client.rack", "rack-" + follower, "metadata.max.age.ms", "300000"));
        Records.Log received = Records.readAll(run, consumer, topic, 1, RECORDS);
        Run.checkEqual(sent.hash(), received.hash(), "digest");
        double near = bytesFrom(consumer, follower);
        Run.check(near >= run.receivedBytes,
                near + " bytes came from the follower, " + bytesFrom(consumer, leader)
                        + " from the leader, of " + run.receivedBytes);
        Map<String, Object> agree = new LinkedHashMap<>();
        agree.put("records", received.count);
        agree.put("from_follower", true);
        return agree;
    }

    private static double bytesFrom(KafkaConsumer<byte[], byte[]> consumer, int node) {
        return consumer.metrics().entrySet().stream()
                .filter(it -> it.getKey().group().equals("consumer-node-metrics")
                        && it.getKey().name().equals("incoming-byte-total")
                        && it.getKey().tags().get("node-id").equals("node-" + node))
                .mapToDouble(it -> (Double) it.getValue().metricValue()).sum();
    }
}
