import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;

/**
 * Two batches under a quota, the second on its way before the first is acknowledged. The broker
 * acknowledges the first at once, says for how long it throttles, and reads the second only then.
 */
final class Throttled {
    /** What the suite grants the client id of the producer. */
    private static final int QUOTA_BYTES_PER_SECOND = 2_000;
    private static final int RECORD_BYTES = 160_000;
    /** Samples of a second each, but for the one that is under way (quota.window.num). */
    private static final int WINDOW_SECONDS = 10;
    private static final int THROTTLE_SECONDS =
            RECORD_BYTES / QUOTA_BYTES_PER_SECOND - WINDOW_SECONDS;

    private Throttled() {}

    static Map<String, Object> run(Run run) throws Exception {
        String topic = run.topic("records", 1, Map.of());
        // A batch has one record, and a request one batch. The producer is not idempotent: a batch
        // that is sent again because its connection ended is stored twice.
        KafkaProducer<byte[], byte[]> producer = run.producer("throttled", Map.of(
                "acks", "all",
                "enable.idempotence", "false",
                "linger.ms", "0",
                "batch.size", "1",
                "request.timeout.ms", "110000",
                "delivery.timeout.ms", "115000"));
        producer.partitionsFor(topic);
        Records.Log sent = new Records.Log();
        long begun = System.nanoTime();
        Future<RecordMetadata> first = Produce.send(run, producer, sent, record(topic, 0));
        Future<RecordMetadata> second = Produce.send(run, producer, sent, record(topic, 1));
        first.get(115, TimeUnit.SECONDS);
        long unthrottled = seconds(begun);
        second.get(115, TimeUnit.SECONDS);
        long throttled = seconds(begun);
        Run.check(unthrottled < THROTTLE_SECONDS / 2 && throttled >= THROTTLE_SECONDS - 1,
                "acknowledged after " + unthrottled + " s and " + throttled + " s");
        producer.close();
        KafkaConsumer<byte[], byte[]> consumer = run.consumer("consumer", Map.of());
        Records.Log received = Records.readAll(run, consumer, topic, 1, sent.count);
        consumer.close();
        Run.checkEqual(sent.hash(), received.hash(), "digest of " + topic);
        TopicPartition partition = new TopicPartition(topic, 0);
        long end = run.admin.listOffsets(Map.of(partition, OffsetSpec.latest()))
                .partitionResult(partition).get(60, TimeUnit.SECONDS).offset();
        Run.checkEqual((long) sent.count, end, "records of " + topic);
        Map<String, Object> agree = new LinkedHashMap<>();
        agree.put("records", end);
        agree.put("digest", received.hash());
        return agree;
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, int number) {
        byte[] value = new byte[RECORD_BYTES];
        new Random(number).nextBytes(value);
        return new ProducerRecord<>(topic, 0, 1_700_000_000_000L + number, null, value);
    }

    private static long seconds(long begun) {
        return TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - begun);
    }

    /** The suite's own change, direct: the quota of a scenario's producer. */
    static void grant(Run run, String prefix) throws Exception {
        ClientQuotaEntity entity = new ClientQuotaEntity(Map.of("client-id", prefix + ".throttled"));
        ClientQuotaAlteration.Op quota = new ClientQuotaAlteration.Op(
                "producer_byte_rate", (double) QUOTA_BYTES_PER_SECOND);
        ClientQuotaAlteration change = new ClientQuotaAlteration(entity, List.of(quota));
        run.admin.alterClientQuotas(List.of(change)).all().get(60, TimeUnit.SECONDS);
    }
}
