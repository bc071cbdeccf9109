import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;

/** Records go in with each kind of producer and come out the same, in order, each once. */
final class Produce {
    private static final int RECORDS = 2000;

    private Produce() {}

    static Map<String, Object> acks(Run run, String acks) throws Exception {
        String topic = run.topic("records");
        Records.Log sent = new Records.Log();
        // acks=0 into partitions whose leaders are not ready yet loses records without a word.
        KafkaProducer<byte[], byte[]> first = run.producer("first", Map.of("acks", "all"));
        for (int partition = 0; partition < Run.PARTITIONS; partition++) {
            send(run, first, sent, Records.make(topic, partition, partition))
                    .get(60, TimeUnit.SECONDS);
        }
        Map<String, String> config = new HashMap<>(Map.of("acks", acks));
        config.put("enable.idempotence", "false");
        KafkaProducer<byte[], byte[]> producer = run.producer("producer", config);
        List<Future<RecordMetadata>> acknowledged = new ArrayList<>();
        for (int i = 0; i < RECORDS; i++) {
            acknowledged.add(send(run, producer, sent,
                    Records.make(topic, i % Run.PARTITIONS, i)));
        }
        producer.flush();
        for (Future<RecordMetadata> future : acknowledged) {
            boolean offset = future.get(60, TimeUnit.SECONDS).hasOffset();
            Run.check(offset != acks.equals("0"), "an offset for acks=" + acks + ": " + offset);
        }
        producer.close();
        return verify(run, topic, sent);
    }

    static Map<String, Object> idempotent(Run run) throws Exception {
        String topic = run.topic("records");
        Records.Log sent = new Records.Log();
        Map<String, String> config = new HashMap<>();
        config.put("enable.idempotence", "true");
        config.put("acks", "all");
        // Small batches, many in flight: sequences have to be kept in order.
        config.put("batch.size", "4000");
        config.put("max.in.flight.requests.per.connection", "5");
        KafkaProducer<byte[], byte[]> producer = run.producer("producer", config);
        for (int i = 0; i < RECORDS; i++) {
            send(run, producer, sent, Records.make(topic, i % Run.PARTITIONS, i));
        }
        producer.flush();
        TopicPartition partition = new TopicPartition(topic, 0);
        List<ProducerState> states = run.admin.describeProducers(List.of(partition))
                .partitionResult(partition).get(60, TimeUnit.SECONDS).activeProducers();
        Run.checkEqual(1, states.size(), "active producers");
        Map<String, Object> agree = verify(run, topic, sent);
        agree.put("last_sequence", states.get(0).lastSequence());
        return agree;
    }

    static Map<String, Object> compression(Run run) throws Exception {
        Map<String, Object> agree = new LinkedHashMap<>();
        for (String codec : List.of("gzip", "snappy", "lz4", "zstd")) {
            String topic = run.topic(codec);
            Records.Log sent = new Records.Log();
            KafkaProducer<byte[], byte[]> producer =
                    run.producer(codec, Map.of("compression.type", codec, "linger.ms", "20"));
            for (int i = 0; i < RECORDS / 8; i++) {
                send(run, producer, sent, Records.make(topic, i % Run.PARTITIONS, i));
            }
            producer.close();
            agree.put(codec, verify(run, topic, sent));
        }
        return agree;
    }

    static Future<RecordMetadata> send(Run run, KafkaProducer<byte[], byte[]> producer,
            Records.Log sent, ProducerRecord<byte[], byte[]> record) {
        sent.sent(record);
        run.sentBytes += Records.size(record.key(), record.value());
        return producer.send(record);
    }

    private static Map<String, Object> verify(Run run, String topic, Records.Log sent)
            throws Exception {
        KafkaConsumer<byte[], byte[]> consumer = run.consumer("consumer", Map.of());
        Records.Log received = Records.readAll(run, consumer, topic, sent.count);
        consumer.close();
        Run.checkEqual(sent.count, received.count, "records of " + topic);
        Run.checkEqual(sent.hash(), received.hash(), "digest of " + topic);
        Map<String, Object> agree = new LinkedHashMap<>();
        agree.put("records", received.count);
        agree.put("digest", received.hash());
        return agree;
    }
}
