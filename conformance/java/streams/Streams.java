import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/** Words are counted exactly once, by way of a repartition topic and a changelog. */
public class Streams implements Main.Scenario {
    private static final int RECORDS = 600;
    private static final int WORDS = 7;

    @Override
    public Map<String, Object> run(Run run) throws Exception {
        String in = run.topic("in");
        String out = run.topic("out");
        KafkaProducer<byte[], byte[]> producer = run.producer("producer", Map.of());
        Map<String, Long> expected = new TreeMap<>();
        for (int i = 0; i < RECORDS; i++) {
            String word = "word-" + i % WORDS;
            expected.merge(word, 1L, Long::sum);
            byte[] value = word.getBytes(StandardCharsets.UTF_8);
            run.sentBytes += value.length;
            producer.send(new ProducerRecord<>(in, i % Run.PARTITIONS, null, value));
        }
        producer.flush();
        File folder = Files.createTempDirectory("conformance").toFile();
        KafkaStreams streams = new KafkaStreams(topology(in, out), config(run, folder));
        Map<String, Object> agree = new LinkedHashMap<>();
        try {
            streams.start();
            Run.checkEqual(expected, counted(run, out, expected), "counts");
            agree.put("counts", expected);
            Run.check(streams.metadataForLocalThreads().size() == 2, "two threads");
            agree.put("group", describe(run));
        } finally {
            streams.close(Duration.ofSeconds(60));
            remove(folder);
        }
        List<String> internal = run.admin.listTopics().names().get(60, TimeUnit.SECONDS).stream()
                .filter(it -> it.startsWith(application(run) + "-"))
                .map(it -> it.substring(application(run).length())).sorted().toList();
        agree.put("internal_topics", internal);
        return agree;
    }

    private static void remove(File folder) throws Exception {
        try (Stream<Path> all = Files.walk(folder.toPath())) {
            for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }

    String protocol() {
        return null;
    }

    Object describe(Run run) throws Exception {
        return run.admin.describeConsumerGroups(List.of(application(run)))
                .describedGroups().get(application(run)).get(60, TimeUnit.SECONDS)
                .members().size();
    }

    static String application(Run run) {
        return run.name("app");
    }

    private static org.apache.kafka.streams.Topology topology(String in, String out) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(in)
                .selectKey((key, word) -> word)
                .groupByKey()
                .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts")
                        .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
                .toStream()
                .to(out, Produced.with(Serdes.String(), Serdes.Long()));
        return builder.build();
    }

    private Properties config(Run run, File folder) {
        Properties config = new Properties();
        config.putAll(run.base("streams"));
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, application(run));
        config.put(StreamsConfig.STATE_DIR_CONFIG, folder.getPath());
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 3);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.String().getClass());
        config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.String().getClass());
        // The state of each task lies in files of RocksDB unless it is said otherwise.
        config.put("default.dsl.store", "in_memory");
        if (protocol() != null) {
            config.put("group.protocol", protocol());
        }
        return config;
    }

    /** The newest count of each word; none may ever be above the expected one. */
    private static Map<String, Long> counted(Run run, String out, Map<String, Long> expected) {
        Map<String, Long> counts = new HashMap<>();
        KafkaConsumer<byte[], byte[]> consumer =
                run.consumer("consumer", Map.of("isolation.level", "read_committed"));
        consumer.assign(Records.partitions(out, Run.PARTITIONS));
        consumer.seekToBeginning(consumer.assignment());
        Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(150), "counting");
        while (!counts.equals(expected)) {
            deadline.check(counts);
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                run.receivedBytes += Records.size(r.key(), r.value());
                long count = java.nio.ByteBuffer.wrap(r.value()).getLong();
                String word = new String(r.key(), StandardCharsets.UTF_8);
                Run.check(count <= expected.get(word), word + " was counted " + count + " times");
                counts.put(word, count);
            }
        }
        consumer.close();
        return new TreeMap<>(counts);
    }
}
