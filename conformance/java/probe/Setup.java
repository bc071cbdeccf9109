package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Utils;

/** The topics that all chapters use, and names whose coordinator is the broker that is asked. */
final class Setup {
    /** The broker that both ways lead to. */
    static final int BROKER = 1;
    /** Holds a few records; nothing changes it. Broker 1 leads its partition 0 only. */
    static final String RECORDS = "every-api-records";
    /** The same with more records than doorkeeper buffers of a response: it is streamed. */
    static final String LARGE = "every-api-large";
    static final String NOTHING = "every-api-nothing";
    static final Uuid NO_ID = new Uuid(0x0123456789abcdefL, 0x1122334455667788L);
    private static final int LARGE_BYTES = 100_000;
    /** As the suite sets it for the topics of coordinators. */
    private static final int COORDINATORS = 3;

    private static Uuid recordsId;
    private static Uuid largeId;
    private static List<Integer> groupPartitions;
    private static List<Integer> transactionPartitions;

    private Setup() {}

    /// Whether an election had nothing to do: it names topics, but no partition of them.
    private static boolean nothingIsLeft(JsonNode election) {
        for (JsonNode topic : election.get("replicaElectionResults")) {
            if (!topic.get("partitionResult").isEmpty()) {
                return false;
            }
        }
        return true;
    }

    static Uuid recordsId() {
        return recordsId;
    }

    static Uuid largeId() {
        return largeId;
    }

    static void run(Probe probe) throws Exception {
        Way way = probe.direct;
        // A restarted broker leads nothing at first: every partition back to its first replica,
        // so that no leader or coordinator moves between two calls.
        probe.prepare(way, "ElectLeaders",
                m("electionType", 0, "topicPartitions", null, "timeoutMs", 10_000),
                Setup::nothingIsLeft);
        List<Object> topics = new ArrayList<>();
        for (String name : List.of(RECORDS, LARGE)) {
            topics.add(topic(name, 3, 2));
        }
        for (Way each : probe.ways) {
            for (String what : List.of("produce", "trim", "move", "config", "active", "txn")) {
                topics.add(topic(each.own(what), 3, 3));
            }
        }
        probe.prepare(way, "CreateTopics", m("topics", topics, "timeoutMs", 30_000));
        List<Object> wanted = new ArrayList<>();
        for (Object topic : topics) {
            Object name = ((Map<?, ?>) topic).get("name");
            wanted.add(m("name", name, "topicId", Uuid.ZERO_UUID));
        }
        JsonNode known = probe.prepare(way, "Metadata", m("topics", wanted),
                json -> Probe.errors(json).isEmpty() && areLed(json));
        for (JsonNode topic : known.get("topics")) {
            String name = topic.get("name").asText();
            Uuid id = Way.uuid(topic.get("topicId"));
            for (Way each : probe.ways) {
                each.keep("id " + name, id);
            }
            recordsId = name.equals(RECORDS) ? id : recordsId;
            largeId = name.equals(LARGE) ? id : largeId;
        }
        fill(probe);
        groupPartitions = ledHere(probe, 0, "__consumer_offsets");
        transactionPartitions = ledHere(probe, 1, "__transaction_state");
    }

    /**
     * Partition 0 is led by broker 1, 1 by 2, and 2 by 3. With two copies, broker 1 has none of
     * partition 1, and so cannot serve it as a follower either.
     */
    static Object topic(String name, int partitions, int copies) {
        List<Object> assignments = new ArrayList<>();
        for (int i = 0; i < partitions; i++) {
            List<Object> brokers = List.of(List.of(1, 2, 3), List.of(2, 3, 1), List.of(3, 2, 1))
                    .get(i % 3).subList(0, copies).stream().map(it -> (Object) it).toList();
            assignments.add(m("partitionIndex", i, "brokerIds", brokers));
        }
        return m("name", name, "numPartitions", -1, "replicationFactor", -1,
                "assignments", assignments);
    }

    private static boolean areLed(JsonNode metadata) {
        for (JsonNode topic : metadata.get("topics")) {
            for (JsonNode partition : topic.get("partitions")) {
                int leader = partition.get("partitionIndex").asInt() % 3 + 1;
                int copies = partition.get("replicaNodes").size();
                if (partition.get("leaderId").asInt() != leader
                        || partition.get("isrNodes").size() != copies) {
                    return false;
                }
            }
        }
        return true;
    }

    private static void fill(Probe probe) throws Exception {
        short version = probe.newest("Produce");
        produce(probe, probe.direct, RECORDS,
                Records.forProduce(version, "one", "two", "three", "four", "five"));
        produce(probe, probe.direct, LARGE,
                Records.forProduce(version, "x".repeat(LARGE_BYTES)));
        for (Way way : probe.ways) {
            String[] many = new String[20];
            java.util.Arrays.fill(many, "many");
            produce(probe, way, way.own("trim"), Records.forProduce(version, many));
            JsonNode producer = probe.prepare(way, "InitProducerId",
                    m("transactionalId", null, "transactionTimeoutMs", 60_000));
            produce(probe, way, way.own("active"), Records.idempotent(
                    producer.get("producerId").asLong(),
                    (short) producer.get("producerEpoch").asInt(), "mine"));
        }
    }

    static void produce(Probe probe, Way way, String topic, Object records) throws Exception {
        probe.prepare(way, "Produce", m("acks", -1, "timeoutMs", 10_000,
                "topicData", a(m("name", topic, "?topicId", way.kept("id " + topic),
                        "partitionData", a(m("index", 0, "records", records))))));
    }

    /** The partitions of a coordinators' topic that our broker leads. */
    private static List<Integer> ledHere(Probe probe, int keyType, String topic)
            throws Exception {
        probe.prepare(probe.direct, "FindCoordinator",
                m("keyType", keyType, "coordinatorKeys", a("some")));
        JsonNode known = probe.prepare(probe.direct, "Metadata",
                m("topics", a(m("name", topic, "topicId", Uuid.ZERO_UUID))),
                json -> Probe.errors(json).isEmpty());
        List<Integer> led = new ArrayList<>();
        for (JsonNode partition : known.at("/topics/0/partitions")) {
            if (partition.get("leaderId").asInt() == BROKER) {
                led.add(partition.get("partitionIndex").asInt());
            }
        }
        if (led.isEmpty()) {
            throw new IllegalStateException("broker 1 leads nothing of " + topic);
        }
        return led;
    }

    static String group(Way way, String what) {
        return named(way, what, groupPartitions);
    }

    static String transaction(Way way, String what) {
        return named(way, what, transactionPartitions);
    }

    /** The number belongs to the way's part of the name: it may differ. */
    private static String named(Way way, String what, List<Integer> here) {
        for (int n = 100; n < 1000; n++) {
            String name = way.own("" + n, what);
            if (here.contains(Utils.abs(name.hashCode()) % COORDINATORS)) {
                return name;
            }
        }
        throw new IllegalStateException("no name for " + what);
    }
}
