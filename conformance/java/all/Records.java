import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;

/** Records that any run makes alike, and digests of what came back, in order, per partition. */
final class Records {
    private static final long EPOCH_MS = 1_700_000_000_000L;

    private Records() {}

    /** Record i of a run: random bytes (nothing compresses them), some nulls, headers, big ones. */
    static ProducerRecord<byte[], byte[]> make(String topic, int partition, int i) {
        byte[] key = i % 11 == 0 ? null : ("key-" + i).getBytes(StandardCharsets.UTF_8);
        byte[] value = null;
        if (i % 13 != 0) {
            value = new byte[i % 500 == 499 ? 200_000 : 900 + i % 200];
            new Random(i).nextBytes(value);
        }
        ProducerRecord<byte[], byte[]> record =
                new ProducerRecord<>(topic, partition, EPOCH_MS + i, key, value);
        if (i % 7 == 0) {
            record.headers().add("n", Integer.toString(i).getBytes(StandardCharsets.UTF_8));
            record.headers().add("none", null);
        }
        return record;
    }

    static long size(byte[] key, byte[] value) {
        return (key == null ? 0 : key.length) + (value == null ? 0 : value.length);
    }

    static byte[] digest(long timestamp, byte[] key, byte[] value, Headers headers) {
        try {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            sha.update(ByteBuffer.allocate(8).putLong(timestamp).array());
            feed(sha, key);
            feed(sha, value);
            for (Header header : headers) {
                feed(sha, header.key().getBytes(StandardCharsets.UTF_8));
                feed(sha, header.value());
            }
            return sha.digest();
        } catch (Exception impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static void feed(MessageDigest sha, byte[] bytes) {
        sha.update(ByteBuffer.allocate(4).putInt(bytes == null ? -1 : bytes.length).array());
        if (bytes != null) {
            sha.update(bytes);
        }
    }

    /** Digests in the order of arrival, by partition. */
    static final class Log {
        private final Map<Integer, List<byte[]>> byPartition = new TreeMap<>();
        int count;

        void sent(ProducerRecord<byte[], byte[]> r) {
            add(r.partition(), digest(r.timestamp(), r.key(), r.value(), r.headers()));
        }

        void received(ConsumerRecord<byte[], byte[]> r) {
            add(r.partition(), digest(r.timestamp(), r.key(), r.value(), r.headers()));
        }

        private void add(int partition, byte[] digest) {
            byPartition.computeIfAbsent(partition, p -> new ArrayList<>()).add(digest);
            count++;
        }

        String hash() throws Exception {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            for (Map.Entry<Integer, List<byte[]>> partition : byPartition.entrySet()) {
                sha.update(ByteBuffer.allocate(8).putInt(partition.getKey())
                        .putInt(partition.getValue().size()).array());
                partition.getValue().forEach(sha::update);
            }
            return HexFormat.of().formatHex(sha.digest(), 0, 8);
        }
    }

    static List<TopicPartition> partitions(String topic, int count) {
        List<TopicPartition> all = new ArrayList<>();
        for (int p = 0; p < count; p++) {
            all.add(new TopicPartition(topic, p));
        }
        return all;
    }

    /** Reads partitions from their beginning: as many records as it must, then to their end. */
    static Log readAll(Run run, KafkaConsumer<byte[], byte[]> consumer, String topic,
            int expected) {
        return readAll(run, consumer, topic, Run.PARTITIONS, expected);
    }

    static Log readAll(Run run, KafkaConsumer<byte[], byte[]> consumer, String topic,
            int partitions, int expected) {
        List<TopicPartition> all = partitions(topic, partitions);
        consumer.assign(all);
        consumer.seekToBeginning(all);
        Log log = new Log();
        Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(120), "reading " + topic);
        // With acks=0 the last ones may still be on their way when this begins.
        while (log.count < expected) {
            deadline.check(log.count + " of " + expected + " records");
            poll(run, consumer, log);
        }
        Map<TopicPartition, Long> ends = consumer.endOffsets(all, Duration.ofSeconds(60));
        while (all.stream().anyMatch(tp -> consumer.position(tp) < ends.get(tp))) {
            deadline.check(log.count + " records so far, ends " + ends);
            poll(run, consumer, log);
        }
        return log;
    }

    private static void poll(Run run, KafkaConsumer<byte[], byte[]> consumer, Log log) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
            log.received(record);
            run.receivedBytes += size(record.key(), record.value());
        }
    }
}
