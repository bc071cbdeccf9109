import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Committed transactions are seen, aborted ones are not, offsets go with them, zombies are out. */
final class Transactions {
    private static final int TRANSACTIONS = 6;
    private static final int RECORDS = 60;

    private Transactions() {}

    static Map<String, Object> run(Run run) throws Exception {
        String topic = run.topic("in");
        Map<String, Object> agree = new LinkedHashMap<>();
        String id = run.name("tx");
        KafkaProducer<byte[], byte[]> producer = transactional(run, "producer", id);
        producer.initTransactions();
        Records.Log all = new Records.Log();
        Records.Log committed = new Records.Log();
        int next = 0;
        for (int transaction = 0; transaction < TRANSACTIONS; transaction++) {
            producer.beginTransaction();
            for (int i = 0; i < RECORDS; i++, next++) {
                ProducerRecord<byte[], byte[]> record =
                        Records.make(topic, next % Run.PARTITIONS, next);
                Produce.send(run, producer, all, record);
                if (transaction % 2 == 0) {
                    committed.sent(record);
                }
            }
            // Everything is in the log before commit or abort, else there is nothing to abort.
            producer.flush();
            if (transaction % 2 == 0) {
                producer.commitTransaction();
            } else {
                producer.abortTransaction();
            }
        }
        agree.put("read_committed", read(run, topic, "read_committed", committed));
        agree.put("read_uncommitted", read(run, topic, "read_uncommitted", all));
        agree.put("forwarded", forward(run, producer, topic, committed));
        TransactionDescription description = run.admin.describeTransactions(List.of(id))
                .description(id).get(60, TimeUnit.SECONDS);
        agree.put("state", description.state().toString());
        agree.put("fenced", fenced(run, producer, topic, id));
        return agree;
    }

    private static KafkaProducer<byte[], byte[]> transactional(Run run, String role, String id) {
        return run.producer(role, Map.of("transactional.id", id));
    }

    private static String read(Run run, String topic, String isolation, Records.Log expected)
            throws Exception {
        Records.Log log;
        try (KafkaConsumer<byte[], byte[]> consumer =
                run.consumer(isolation, Map.of("isolation.level", isolation))) {
            log = Records.readAll(run, consumer, topic, expected.count);
        }
        Run.checkEqual(expected.count, log.count, isolation);
        Run.checkEqual(expected.hash(), log.hash(), isolation);
        return log.count + " " + log.hash();
    }

    /** Consume, transform, produce: the group's offsets are part of the transaction. */
    private static String forward(Run run, KafkaProducer<byte[], byte[]> producer, String topic,
            Records.Log expected) throws Exception {
        String out = run.topic("out");
        String group = run.name("forward");
        Map<String, String> config = Map.of(
                "group.id", group, "isolation.level", "read_committed", "max.poll.records", "50");
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        try (KafkaConsumer<byte[], byte[]> consumer = run.consumer("forward", config)) {
            consumer.subscribe(List.of(topic));
            int forwarded = 0;
            Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(120), "forwarding");
            while (forwarded < expected.count) {
                deadline.check(forwarded);
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
                if (records.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                for (ConsumerRecord<byte[], byte[]> r : records) {
                    producer.send(new ProducerRecord<>(out, r.partition(), r.timestamp(), r.key(),
                            r.value(), r.headers()));
                    offsets.put(new TopicPartition(topic, r.partition()),
                            new OffsetAndMetadata(r.offset() + 1));
                    run.sentBytes += Records.size(r.key(), r.value());
                }
                producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                producer.commitTransaction();
                forwarded += records.count();
            }
        }
        // A commit is settled when its markers are written, a little after it is acknowledged.
        Map<TopicPartition, OffsetAndMetadata> stored = run.admin.listConsumerGroupOffsets(group,
                new ListConsumerGroupOffsetsOptions().requireStable(true))
                .partitionsToOffsetAndMetadata().get(60, TimeUnit.SECONDS);
        for (Map.Entry<TopicPartition, OffsetAndMetadata> entry : offsets.entrySet()) {
            Run.checkEqual(entry.getValue().offset(), stored.get(entry.getKey()).offset(),
                    "offset of " + entry.getKey());
        }
        return read(run, out, "read_committed", expected);
    }

    /** A second producer with the same id ends the first one's rights. */
    private static String fenced(Run run, KafkaProducer<byte[], byte[]> old, String topic,
            String id) throws Exception {
        try (KafkaProducer<byte[], byte[]> heir = transactional(run, "heir", id)) {
            heir.initTransactions();
        }
        try {
            old.beginTransaction();
            old.send(Records.make(topic, 0, 1));
            old.commitTransaction();
        } catch (ProducerFencedException | InvalidProducerEpochException expected) {
            return "fenced";
        }
        throw new IllegalStateException("the old producer could still commit");
    }
}
