package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import probe.Probe.Claim;

/** Topics come, grow, move and go. */
final class TopicCases {
    private TopicCases() {}

    static void run(Probe probe) throws Exception {
        create(probe);
        delete(probe);
        grow(probe);
        move(probe);
        folders(probe);
        probe.each("ElectLeaders", "where it is needed", Claim.OK, (way, version) ->
                m("electionType", 0, "topicPartitions", null, "timeoutMs", 10_000));
        probe.each("ElectLeaders", "where it is not, and unknown topic", Claim.ERROR,
                (way, version) -> m("electionType", 0, "timeoutMs", 10_000, "topicPartitions",
                        a(m("topic", Setup.RECORDS, "partitions", a(0)),
                                m("topic", Setup.NOTHING, "partitions", a(0)))));
    }

    private static void create(Probe probe) throws Exception {
        probe.each("CreateTopics", "new", Claim.OK, (way, version) ->
                m("timeoutMs", 10_000, "topics", a(Setup.topic(way.own("new-v" + version), 2, 3))));
        probe.each("CreateTopics", "new, with settings", Claim.OK, (way, version) ->
                m("timeoutMs", 10_000, "topics", a(m("name", way.own("set-v" + version),
                        "numPartitions", 2, "replicationFactor", 1,
                        "configs", a(m("name", "retention.ms", "value", "1000000"))))));
        probe.since(1, "CreateTopics", "only tried", Claim.OK, (way, version) ->
                m("timeoutMs", 10_000, "validateOnly", true, "topics",
                        a(Setup.topic(way.own("tried"), 1, 3))));
        probe.each("CreateTopics", "exists, no name, bad setting", Claim.ERROR,
                (way, version) -> m("timeoutMs", 10_000, "topics", a(
                        Setup.topic(Setup.RECORDS, 1, 3),
                        Setup.topic("no name", 1, 3),
                        m("name", way.own("bad"), "numPartitions", 1, "replicationFactor", 1,
                                "configs", a(m("name", "retention.ms", "value", "x"))),
                        m("name", way.own("wide"), "numPartitions", 1,
                                "replicationFactor", 9))));
    }

    private static void delete(Probe probe) throws Exception {
        for (Way way : probe.ways) {
            List<Object> topics = new ArrayList<>();
            for (short version : probe.versions("DeleteTopics")) {
                topics.add(Setup.topic(way.own("old-v" + version), 1, 3));
                topics.add(Setup.topic(way.own("older-v" + version), 1, 3));
            }
            JsonNode made = probe.prepare(way, "CreateTopics",
                    m("topics", topics, "timeoutMs", 30_000));
            for (JsonNode topic : made.get("topics")) {
                way.keep("id " + topic.get("name").asText(), Way.uuid(topic.get("topicId")));
            }
        }
        probe.each("DeleteTopics", "by name", Claim.OK, (way, version) -> {
            String name = way.own("old-v" + version);
            return m("timeoutMs", 10_000, "topicNames", a(name), "topics",
                    a(m("name", name, "topicId", Uuid.ZERO_UUID)));
        });
        probe.since(6, "DeleteTopics", "by id", Claim.OK, (way, version) -> {
            String name = way.own("older-v" + version);
            return m("timeoutMs", 10_000, "topics",
                    a(m("name", null, "topicId", way.kept("id " + name))));
        });
        probe.each("DeleteTopics", "unknown topic", Claim.ERROR, (way, version) ->
                m("timeoutMs", 10_000, "topicNames", a(Setup.NOTHING), "topics",
                        a(m("name", Setup.NOTHING, "topicId", Uuid.ZERO_UUID),
                                m("name", null, "topicId", Setup.NO_ID))));
    }

    private static void grow(Probe probe) throws Exception {
        probe.each("CreatePartitions", "one more", Claim.OK, (way, version) ->
                grow(way.own("move"), 4 + version, a(1, 2, 3)));
        probe.each("CreatePartitions", "fewer", Claim.ERROR, (way, version) ->
                grow(Setup.RECORDS, 1, null));
        probe.each("CreatePartitions", "unknown topic", Claim.ERROR, (way, version) ->
                grow(Setup.NOTHING, 3, null));
    }

    private static Map<String, Object> grow(String topic, int count, Object brokers) {
        Object assignments = brokers == null ? null : a(m("brokerIds", brokers));
        return m("timeoutMs", 10_000, "topics",
                a(m("name", topic, "count", count, "assignments", assignments)));
    }

    private static void move(Probe probe) throws Exception {
        probe.each("AlterPartitionReassignments", "another order", Claim.OK, (way, version) ->
                reassign(way.own("config"), version % 2 == 0 ? a(1, 3, 2) : a(1, 2, 3)));
        probe.each("AlterPartitionReassignments", "none to cancel", Claim.ERROR,
                (way, version) -> reassign(Setup.RECORDS, null));
        probe.each("AlterPartitionReassignments", "unknown topic and broker", Claim.ERROR,
                (way, version) -> reassign(Setup.NOTHING, a(1, 99)));
        probe.each("ListPartitionReassignments", "all", Claim.OK, (way, version) ->
                m("timeoutMs", 10_000, "topics", null));
        probe.each("ListPartitionReassignments", "unknown topic", Claim.ANY, (way, version) ->
                m("timeoutMs", 10_000, "topics",
                        a(m("name", Setup.NOTHING, "partitionIndexes", a(0)))));
    }

    private static Map<String, Object> reassign(String topic, Object replicas) {
        return m("timeoutMs", 10_000, "topics", a(m("name", topic, "partitions",
                a(m("partitionIndex", 0, "replicas", replicas)))));
    }

    private static void folders(Probe probe) throws Exception {
        probe.each("DescribeLogDirs", "a topic", Claim.OK, (way, version) ->
                m("topics", a(m("topic", Setup.RECORDS, "partitions", a(0, 1)))));
        probe.each("DescribeLogDirs", "unknown topic", Claim.ANY, (way, version) ->
                m("topics", a(m("topic", Setup.NOTHING, "partitions", a(0)))));
        String folder = probe.prepare(probe.direct, "DescribeLogDirs",
                m("topics", a(m("topic", Setup.RECORDS, "partitions", a(0)))))
                .at("/results/0/logDir").asText();
        probe.each("AlterReplicaLogDirs", "where it is", Claim.OK, (way, version) ->
                m("dirs", a(m("path", folder, "topics",
                        a(m("name", Setup.RECORDS, "partitions", a(0)))))));
        probe.each("AlterReplicaLogDirs", "unknown folder", Claim.ERROR, (way, version) ->
                m("dirs", a(m("path", "/no/such/folder", "topics",
                        a(m("name", Setup.RECORDS, "partitions", a(0)))))));
    }
}
