import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What every scenario shares: names, clients, counters and the one line of JSON at the end. */
final class Run implements AutoCloseable {
    static final int PARTITIONS = 3;
    private static final ObjectMapper JSON = new ObjectMapper();

    final String bootstrap;
    final String prefix;
    final Admin admin;
    private final Map<String, Object> tls;
    long sentBytes;
    long receivedBytes;
    private final List<AutoCloseable> open = new ArrayList<>();
    private final BufferedReader stdin = new BufferedReader(new InputStreamReader(System.in));

    Run(String bootstrap, String prefix) {
        this.bootstrap = bootstrap;
        this.prefix = prefix;
        this.tls = Tls.given();
        this.admin = Admin.create(base("admin"));
        open.add(admin);
    }

    /** The tap attributes a connection by the part of its client id before the first dot. */
    Map<String, Object> base(String role) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        config.put("client.id", prefix + "." + role);
        // A new topic reaches all brokers only after a while when the machine is busy.
        config.put("metadata.max.age.ms", "2000");
        config.put("retry.backoff.ms", "50");
        config.put("reconnect.backoff.ms", "50");
        config.put("reconnect.backoff.max.ms", "500");
        config.putAll(tls);
        return config;
    }

    String name(String what) {
        return prefix + "-" + what;
    }

    String topic(String what) throws Exception {
        return topic(what, PARTITIONS, Map.of());
    }

    /** One partition on one broker, wherever there is only one. */
    String topicOfOne(String what) throws Exception {
        return create(new NewTopic(name(what), 1, (short) 1));
    }

    String topic(String what, int partitions, Map<String, String> configs) throws Exception {
        return create(new NewTopic(name(what), partitions, (short) 3).configs(configs));
    }

    private String create(NewTopic topic) throws Exception {
        admin.createTopics(List.of(topic)).all().get(60, TimeUnit.SECONDS);
        awaitLeaders(Records.partitions(topic.name(), topic.numPartitions()));
        return topic.name();
    }

    /**
     * Until the leader of each partition serves it. An idempotent producer whose first batch comes
     * before that, and its second one after it, never gets its first batch in: direct as well.
     */
    int awaitLeaders(List<TopicPartition> partitions) throws Exception {
        Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
        partitions.forEach(it -> latest.put(it, OffsetSpec.latest()));
        Deadline deadline = new Deadline(Duration.ofSeconds(120), "leaders of new topics");
        while (true) {
            try {
                return admin.listOffsets(latest).all().get(120, TimeUnit.SECONDS).size();
            } catch (ExecutionException failure) {
                deadline.check(failure);
            }
        }
    }

    KafkaProducer<byte[], byte[]> producer(String role, Map<String, String> more) {
        Map<String, Object> config = base(role);
        config.put("linger.ms", "5");
        config.put("delivery.timeout.ms", "120000");
        config.putAll(more);
        KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
        open.add(producer);
        return producer;
    }

    KafkaConsumer<byte[], byte[]> consumer(String role, Map<String, String> more) {
        Map<String, Object> config = base(role);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        config.putAll(more);
        KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        open.add(consumer);
        return consumer;
    }

    /** The addresses that this client has received, by node id. */
    Map<String, String> nodes() throws Exception {
        Map<String, String> nodes = new TreeMap<>();
        for (Node node : admin.describeCluster().nodes().get(60, TimeUnit.SECONDS)) {
            nodes.put(node.idString(), node.host() + ":" + node.port());
        }
        return nodes;
    }

    /** Tells the suite that its part may begin, and waits until it says that it is done. */
    void handOver() throws IOException {
        System.out.println("ready");
        System.out.flush();
        if (stdin.readLine() == null) {
            throw new IOException("the suite went away");
        }
    }

    void report(Map<String, Object> agree) throws Exception {
        Map<String, Object> line = new TreeMap<>();
        line.put("agree", new TreeMap<>(agree));
        line.put("nodes", nodes());
        line.put("sent_bytes", sentBytes);
        line.put("received_bytes", receivedBytes);
        System.out.println(JSON.writeValueAsString(line));
        System.out.flush();
    }

    static void reportFailure(Throwable failure) {
        try {
            System.out.println(JSON.writeValueAsString(Map.of("error", failure.toString())));
            System.out.flush();
        } catch (IOException unlikely) {
            unlikely.printStackTrace();
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }

    static void checkEqual(Object expected, Object actual, String what) {
        check(expected.equals(actual), what + ": expected " + expected + ", got " + actual);
    }

    /** A moment by which something must have happened; scenarios poll, they never sleep blindly. */
    static final class Deadline {
        private final long at;
        private final String what;

        Deadline(Duration within, String what) {
            this.at = System.nanoTime() + within.toNanos();
            this.what = what;
        }

        void check(Object state) {
            Run.check(System.nanoTime() < at, "timed out: " + what + "; " + state);
        }
    }

    @Override
    public void close() {
        for (int i = open.size() - 1; i >= 0; i--) {
            try {
                open.get(i).close();
            } catch (Exception ignored) {
                // The result is printed already; a client that was closed before may complain.
            }
        }
    }
}
