import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.TimeoutException;

/**
 * Something happens to a broker or to doorkeeper while records flow: none that was acknowledged is
 * lost, order is kept.
 */
final class Flow {
    private static final int BEFORE = 300;
    private static final int AFTER = 300;
    /** How many records may wait for their acknowledgement: what piles up has to be read too. */
    private static final int WAITING = 300;
    /**
     * Records flow, they do not flood: all that programs can send would keep the brokers busy, and
     * this is about what happens to them meanwhile.
     */
    private static final int ROUND = 2 * Run.PARTITIONS;
    private static final long ROUND_NANOS = 50_000_000L;
    private static final long COMMIT_EVERY_NANOS = 1_000_000_000L;
    /**
     * How long nothing may move before the event and after it; the suite bounds the event itself.
     * A session of a group lasts 45 s, and a member whose heartbeat was lost blocks the next
     * rebalance for so long.
     */
    private static final Duration STALL = Duration.ofSeconds(120);

    private final Run run;
    private final String topic;
    private final String group;
    private final KafkaProducer<byte[], byte[]> producer;
    private final AtomicReference<Exception> failed = new AtomicReference<>();
    private final AtomicBoolean happened = new AtomicBoolean();
    private final int[] acknowledged = new int[Run.PARTITIONS];
    private final int[] consumed = new int[Run.PARTITIONS];
    /** Where each partition goes on after the last record that was consumed. */
    private final Map<TopicPartition, OffsetAndMetadata> following = new HashMap<>();
    private String progress;
    private Run.Deadline stalled;
    private long committedAt = System.nanoTime();
    private long roundAt = System.nanoTime() - ROUND_NANOS;

    private Flow(Run run) throws Exception {
        this.run = run;
        this.topic = run.topic("stream", Run.PARTITIONS, Map.of("min.insync.replicas", "2"));
        this.group = run.name("group");
        this.producer = run.producer("producer", Map.of("acks", "all", "linger.ms", "1",
                "request.timeout.ms", "10000", "enable.idempotence", "true",
                "delivery.timeout.ms", "180000"));
    }

    static Map<String, Object> run(Run run) throws Exception {
        return new Flow(run).play();
    }

    private Map<String, Object> play() throws Exception {
        Map<String, String> config = new HashMap<>();
        config.put("group.id", group);
        config.put("request.timeout.ms", "10000");
        KafkaConsumer<byte[], byte[]> consumer = run.consumer("consumer", config);
        consumer.subscribe(List.of(topic));
        Thread suite = new Thread(this::handOver, "suite");
        suite.setDaemon(true);
        int sent = 0;
        int last = Integer.MAX_VALUE;
        while (sent < last || sum(consumed) < sum(acknowledged) || sum(acknowledged) < sent) {
            boolean isHappening = suite.getState() != Thread.State.NEW && !happened.get();
            checkProgress(isHappening, sent + " sent, " + sum(acknowledged) + " acknowledged, "
                    + sum(consumed) + " consumed");
            if (failed.get() != null) {
                throw failed.get();
            }
            boolean isFull = sent - sum(acknowledged) >= WAITING;
            if (!isFull && System.nanoTime() - roundAt > ROUND_NANOS) {
                roundAt = System.nanoTime();
                for (int i = 0; i < ROUND && sent < last; i++, sent++) {
                    send(sent);
                }
            }
            consume(consumer);
            commitNowAndThen(consumer);
            if (sent >= BEFORE && suite.getState() == Thread.State.NEW && sum(consumed) > 0) {
                suite.start();
            }
            if (happened.get() && last == Integer.MAX_VALUE) {
                last = sent + AFTER;
            }
        }
        commit(consumer);
        consumer.close();
        // Each offset is the count of records: the log holds none twice.
        checkCommitted();
        Map<String, Object> agree = new LinkedHashMap<>();
        agree.put("lost", sum(acknowledged) - sum(consumed));
        return agree;
    }

    private void checkProgress(boolean isHappening, String now) {
        if (isHappening || !now.equals(progress)) {
            progress = now;
            stalled = new Run.Deadline(STALL, "records to move");
        }
        stalled.check(now);
    }

    /**
     * The last one counts. A member that was taken for dead, or whose coordinator has moved, has to
     * poll until it is one again: only then is a commit taken from it.
     */
    private void commit(KafkaConsumer<byte[], byte[]> consumer) {
        Run.Deadline deadline = new Run.Deadline(STALL, "the last commit");
        while (true) {
            try {
                consumer.commitSync(following, Duration.ofSeconds(10));
                return;
            } catch (CommitFailedException | RebalanceInProgressException | TimeoutException
                    failure) {
                deadline.check(failure);
            }
            consume(consumer);
        }
    }

    private void handOver() {
        try {
            run.handOver();
            happened.set(true);
        } catch (Exception failure) {
            failed.set(failure);
        }
    }

    /** Record n of a partition holds n, so that a gap or a swap shows. */
    private void send(int i) {
        int partition = i % Run.PARTITIONS;
        byte[] value = ByteBuffer.allocate(200).putInt(i / Run.PARTITIONS).array();
        run.sentBytes += value.length;
        producer.send(new ProducerRecord<>(topic, partition, null, value), (metadata, failure) -> {
            if (failure != null) {
                failed.set(failure);
            } else {
                synchronized (acknowledged) {
                    acknowledged[partition]++;
                }
            }
        });
    }

    private void consume(KafkaConsumer<byte[], byte[]> consumer) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(10))) {
            int n = ByteBuffer.wrap(record.value()).getInt();
            int next = consumed[record.partition()];
            run.receivedBytes += record.value().length;
            Run.check(n <= next, "partition " + record.partition() + ": " + n + " after " + next);
            if (n == next) {
                consumed[record.partition()]++;
                following.put(new TopicPartition(topic, record.partition()),
                        new OffsetAndMetadata(record.offset() + 1));
            }
            // A smaller n is legal: the group's position may have gone back to the last commit.
        }
    }

    private void commitNowAndThen(KafkaConsumer<byte[], byte[]> consumer) {
        // Not after each poll: a busy coordinator would drown in commits.
        if (System.nanoTime() - committedAt > COMMIT_EVERY_NANOS) {
            consumer.commitAsync();
            committedAt = System.nanoTime();
        }
    }

    private int sum(int[] counts) {
        synchronized (acknowledged) {
            int sum = 0;
            for (int count : counts) {
                sum += count;
            }
            return sum;
        }
    }

    private void checkCommitted() throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = run.admin.listConsumerGroupOffsets(group)
                .partitionsToOffsetAndMetadata().get(60, TimeUnit.SECONDS);
        for (int partition = 0; partition < Run.PARTITIONS; partition++) {
            Run.checkEqual((long) consumed[partition],
                    offsets.get(new TopicPartition(topic, partition)).offset(),
                    "committed offset of partition " + partition);
        }
    }
}
