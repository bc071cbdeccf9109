package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import probe.Probe.Claim;

/** What is asked of the cluster as a whole. */
final class ClusterCases {
    private static final int NOBODY = 99;

    private ClusterCases() {}

    static void run(Probe probe) throws Exception {
        metadata(probe);
        coordinators(probe);
        probe.each("DescribeCluster", "brokers", Claim.OK, (way, version) -> m());
        probe.each("DescribeCluster", "with what is allowed", Claim.OK, (way, version) ->
                m("includeClusterAuthorizedOperations", true));
        probe.since(1, "DescribeCluster", "controllers of a broker", Claim.ERROR,
                (way, version) -> m("endpointType", 2));
        probe.each("DescribeQuorum", "metadata", Claim.OK, (way, version) ->
                quorum("__cluster_metadata"));
        probe.each("DescribeQuorum", "another topic", Claim.ERROR, (way, version) ->
                quorum(Setup.RECORDS));
        probe.each("UpdateFeatures", "unknown feature", Claim.ERROR, (way, version) ->
                m("timeoutMs", 10_000, "validateOnly", true, "featureUpdates",
                        a(m("feature", "no.such.feature", "maxVersionLevel", 1))));
        probe.each("UpdateFeatures", "none", Claim.ANY, (way, version) ->
                m("timeoutMs", 10_000, "validateOnly", true));
        voters(probe);
    }

    private static void metadata(Probe probe) throws Exception {
        probe.each("Metadata", "a topic", Claim.OK, (way, version) -> metadata(m(
                "name", Setup.RECORDS, "topicId", Uuid.ZERO_UUID)));
        probe.each("Metadata", "all topics", Claim.OK, (way, version) ->
                m("topics", version == 0 ? a() : null));
        probe.since(1, "Metadata", "no topics", Claim.OK, (way, version) -> m("topics", a()));
        probe.since(8, "Metadata", "with what is allowed", Claim.OK, (way, version) -> {
            Map<String, Object> values = metadata(
                    m("name", Setup.RECORDS, "topicId", Uuid.ZERO_UUID));
            values.put("includeClusterAuthorizedOperations", true);
            values.put("includeTopicAuthorizedOperations", true);
            return values;
        });
        probe.since(12, "Metadata", "by id", Claim.OK, (way, version) -> metadata(
                m("name", null, "topicId", Setup.recordsId())));
        probe.since(12, "Metadata", "unknown id", Claim.ERROR, (way, version) -> metadata(
                m("name", null, "topicId", Setup.NO_ID)));
        probe.each("Metadata", "unknown topic", Claim.ERROR, (way, version) -> metadata(
                m("name", Setup.NOTHING, "topicId", Uuid.ZERO_UUID)));
        probe.each("Metadata", "no name of a topic", Claim.ERROR, (way, version) -> metadata(
                m("name", "no name", "topicId", Uuid.ZERO_UUID)));
        probe.each("DescribeTopicPartitions", "a topic", Claim.OK, (way, version) ->
                m("topics", a(m("name", Setup.RECORDS))));
        probe.each("DescribeTopicPartitions", "the rest of it", Claim.OK, (way, version) ->
                m("topics", a(m("name", Setup.RECORDS)), "responsePartitionLimit", 1,
                        "cursor", m("topicName", Setup.RECORDS, "partitionIndex", 1)));
        probe.each("DescribeTopicPartitions", "unknown topic", Claim.ERROR, (way, version) ->
                m("topics", a(m("name", Setup.NOTHING))));
    }

    private static Map<String, Object> metadata(Object topic) {
        return m("topics", a(topic), "allowAutoTopicCreation", false);
    }

    private static void coordinators(Probe probe) throws Exception {
        probe.each("FindCoordinator", "of a group", Claim.OK, (way, version) ->
                coordinator(0, Setup.group(way, "found")));
        probe.since(1, "FindCoordinator", "of a transaction", Claim.OK, (way, version) ->
                coordinator(1, Setup.transaction(way, "found")));
        probe.since(4, "FindCoordinator", "of several", Claim.OK, (way, version) ->
                m("keyType", 0, "coordinatorKeys", a("one", "two", "three", "four", "five")));
        probe.since(1, "FindCoordinator", "of what is unknown", Claim.ERROR, (way, version) ->
                coordinator(9, "some"));
        for (short version : List.of((short) 4, (short) 5)) {
            // From version 6 on only brokers may send it (`NotForwarded`).
            probe.step("FindCoordinator", version, "of a share", Claim.ERROR, (way, it) ->
                    coordinator(2, "some"), (way, response) -> { });
        }
    }

    static Map<String, Object> coordinator(int keyType, String key) {
        return m("keyType", keyType, "key", key, "coordinatorKeys", a(key));
    }

    private static Map<String, Object> quorum(String topic) {
        return m("topics", a(m("topicName", topic,
                "partitions", a(m("partitionIndex", 0)))));
    }

    /** Only requests that fail: the quorum and the brokers must stay as they are. */
    private static void voters(Probe probe) throws Exception {
        probe.each("UnregisterBroker", "unknown broker", Claim.ERROR, (way, version) ->
                m("brokerId", NOBODY));
        probe.each("UnregisterController", "unknown controller", Claim.ERROR, (way, version) ->
                m("?controllerId", NOBODY));
        probe.each("AddRaftVoter", "another cluster", Claim.ERROR, (way, version) -> m(
                "clusterId", "another-cluster", "timeoutMs", 1000, "voterId", NOBODY,
                "voterDirectoryId", Setup.NO_ID, "listeners",
                a(m("name", "CONTROLLER", "host", "127.0.0.1", "port", 1))));
        probe.each("AddRaftVoter", "one there is", Claim.ERROR, (way, version) -> m(
                "clusterId", null, "timeoutMs", 1000, "voterId", 2,
                "voterDirectoryId", Setup.NO_ID, "listeners",
                a(m("name", "CONTROLLER", "host", "127.0.0.1", "port", 1))));
        probe.each("RemoveRaftVoter", "another cluster", Claim.ERROR, (way, version) -> m(
                "clusterId", "another-cluster", "voterId", NOBODY,
                "voterDirectoryId", Setup.NO_ID));
        probe.each("RemoveRaftVoter", "unknown voter", Claim.ERROR, (way, version) -> m(
                "clusterId", null, "voterId", NOBODY, "voterDirectoryId", Setup.NO_ID));
    }
}
