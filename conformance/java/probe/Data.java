package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiMessageType;
import probe.Probe.Claim;

/** Produce, Fetch and what else asks a partition's leader. */
final class Data {
    private Data() {}

    static void run(Probe probe) throws Exception {
        produce(probe);
        fetch(probe);
        fetchEpochs(probe);
        fetchSession(probe);
        probe.each("ListOffsets", "first and last", Claim.OK, (way, version) -> listOffsets(
                Setup.RECORDS, m("partitionIndex", 0, "timestamp", -1, "?maxNumOffsets", 5)));
        probe.each("ListOffsets", "by time", Claim.OK, (way, version) -> listOffsets(
                Setup.RECORDS, m("partitionIndex", 0, "timestamp", 1_700_000_000_002L,
                        "?maxNumOffsets", 5)));
        probe.each("ListOffsets", "another's partition", Claim.ERROR, (way, version) ->
                listOffsets(Setup.RECORDS, m("partitionIndex", 1, "timestamp", -2)));
        probe.each("ListOffsets", "unknown topic", Claim.ERROR, (way, version) ->
                listOffsets(Setup.NOTHING, m("partitionIndex", 0, "timestamp", -2)));
        probe.each("OffsetForLeaderEpoch", "records", Claim.OK, (way, version) ->
                leaderEpoch(Setup.RECORDS, 0));
        probe.each("OffsetForLeaderEpoch", "another's partition", Claim.ERROR, (way, version) ->
                leaderEpoch(Setup.RECORDS, 1));
        probe.each("OffsetForLeaderEpoch", "unknown topic", Claim.ERROR, (way, version) ->
                leaderEpoch(Setup.NOTHING, 0));
        probe.each("DeleteRecords", "some", Claim.OK, (way, version) ->
                deleteRecords(way.own("trim"), 0, version + 1));
        probe.each("DeleteRecords", "past the end", Claim.ERROR, (way, version) ->
                deleteRecords(way.own("trim"), 0, 1000));
        probe.each("DeleteRecords", "unknown topic", Claim.ERROR, (way, version) ->
                deleteRecords(Setup.NOTHING, 0, 1));
        probe.each("DescribeProducers", "one", Claim.OK, (way, version) ->
                m("topics", a(m("name", way.own("active"), "partitionIndexes", a(0)))));
        probe.each("DescribeProducers", "unknown topic and another's", Claim.ERROR,
                (way, version) -> m("topics", a(
                        m("name", Setup.NOTHING, "partitionIndexes", a(0)),
                        m("name", Setup.RECORDS, "partitionIndexes", a(0, 1)))));
    }

    private static void produce(Probe probe) throws Exception {
        removedVersions(probe);
        for (short version : probe.versions("Produce")) {
            Object records = Records.forProduce(version, "one", "two");
            // One copy and all copies by turns.
            int acks = version % 2 == 0 ? 1 : -1;
            Probe.Keep nothing = (way, response) -> { };
            probe.step("Produce", version, "records", Claim.OK, (way, it) -> produce(
                    acks, way.own("produce"), (Uuid) way.kept("id " + way.own("produce")),
                    m("index", 0, "records", records)), nothing);
            probe.step("Produce", version, "another's partition", Claim.ERROR, (way, it) ->
                    produce(acks, Setup.RECORDS, Setup.recordsId(),
                            m("index", 1, "records", records),
                            m("index", 2, "records", records)), nothing);
            probe.step("Produce", version, "unknown topic", Claim.ERROR, (way, it) -> produce(
                    acks, Setup.NOTHING, Setup.NO_ID, m("index", 0, "records", records)), nothing);
            probe.step("Produce", version, "acks that are none", Claim.ERROR, (way, it) ->
                    produce(7, Setup.RECORDS, Setup.recordsId(),
                            m("index", 0, "records", records)), nothing);
        }
    }

    /** Versions that are advertised, but whose classes are gone, as is what would serve them. */
    private static void removedVersions(Probe probe) throws Exception {
        ApiMessageType type = ApiMessageType.PRODUCE;
        for (short version = probe.offered.get(type.apiKey())[0];
                version < type.lowestSupportedVersion(); version++) {
            var line = Probe.describe(type, version, "no topics").put("claim", "error");
            for (Way way : probe.ways) {
                ByteBuffer body = ByteBuffer.allocate(10);
                body.putShort((short) 1).putInt(1000).putInt(0).flip();
                line.set(way.name, way.call(type, version, version, body).line());
            }
            probe.print(line);
        }
    }

    private static Map<String, Object> produce(int acks, String topic, Uuid id,
            Object... partitions) {
        return m("transactionalId", null, "acks", acks, "timeoutMs", 10_000, "topicData",
                a(m("name", topic, "?topicId", id, "partitionData", a(partitions))));
    }

    private static void fetch(Probe probe) throws Exception {
        probe.each("Fetch", "records", Claim.OK, (way, version) ->
                fetch(topic(Setup.RECORDS, Setup.recordsId(), partition(0, 0))));
        probe.each("Fetch", "from the middle, little", Claim.OK, (way, version) ->
                fetch(topic(Setup.RECORDS, Setup.recordsId(),
                        m("partition", 0, "fetchOffset", 2, "partitionMaxBytes", 10))));
        probe.each("Fetch", "large", Claim.OK, (way, version) ->
                fetch(topic(Setup.LARGE, Setup.largeId(), partition(0, 0))));
        probe.each("Fetch", "large, and another's partition", Claim.ERROR, (way, version) ->
                fetch(topic(Setup.LARGE, Setup.largeId(), partition(0, 0), partition(1, 0))));
        probe.each("Fetch", "others' partitions", Claim.ERROR, (way, version) ->
                fetch(topic(Setup.RECORDS, Setup.recordsId(), partition(1, 0), partition(2, 0))));
        probe.each("Fetch", "past the end", Claim.ERROR, (way, version) ->
                fetch(topic(Setup.RECORDS, Setup.recordsId(), partition(0, 1000))));
        probe.each("Fetch", "unknown topic", Claim.ERROR, (way, version) ->
                fetch(topic(Setup.NOTHING, Setup.NO_ID, partition(0, 0))));
    }

    /** What leaders and consumers tell each other about epochs: tags of each partition. */
    private static void fetchEpochs(Probe probe) throws Exception {
        probe.since(9, "Fetch", "a newer epoch", Claim.ERROR, (way, version) ->
                fetch(topic(Setup.RECORDS, Setup.recordsId(), m("partition", 0,
                        "fetchOffset", 0, "partitionMaxBytes", 1000, "currentLeaderEpoch", 7))));
        probe.since(12, "Fetch", "another history", Claim.OK, (way, version) ->
                fetch(topic(Setup.RECORDS, Setup.recordsId(), m("partition", 0,
                        "fetchOffset", 1000, "partitionMaxBytes", 1000,
                        "currentLeaderEpoch", 0, "lastFetchedEpoch", 0))));
    }

    private static void fetchSession(Probe probe) throws Exception {
        for (short version : probe.versions("Fetch")) {
            if (version < 7) {
                continue;
            }
            Object topic = topic(Setup.RECORDS, Setup.recordsId(), partition(0, 0));
            probe.step("Fetch", version, "a session begins", Claim.OK, (way, it) -> {
                Map<String, Object> values = fetch(topic);
                values.put("sessionEpoch", 0);
                return values;
            }, (way, response) -> way.keep("session", response.at("/sessionId").asInt()));
            probe.step("Fetch", version, "a session goes on", Claim.OK, (way, it) -> {
                Map<String, Object> values = fetch();
                values.put("maxWaitMs", 1);
                values.put("sessionId", way.kept("session"));
                values.put("sessionEpoch", 1);
                return values;
            }, (way, response) -> { });
            probe.step("Fetch", version, "unknown session", Claim.ERROR, (way, it) -> {
                Map<String, Object> values = fetch();
                values.put("sessionId", 1);
                values.put("sessionEpoch", 7);
                return values;
            }, (way, response) -> { });
        }
    }

    private static Map<String, Object> fetch(Object... topics) {
        return m("maxWaitMs", 500, "minBytes", 1, "topics", a(topics));
    }

    private static Object topic(String name, Uuid id, Object... partitions) {
        return m("topic", name, "topicId", id, "partitions", a(partitions));
    }

    private static Object partition(int index, long offset) {
        return m("partition", index, "fetchOffset", offset, "partitionMaxBytes", 1 << 20);
    }

    private static Map<String, Object> listOffsets(String topic, Object partition) {
        return m("replicaId", -1, "topics", a(m("name", topic, "partitions", a(partition))),
                "?timeoutMs", 5000);
    }

    private static Map<String, Object> leaderEpoch(String topic, int partition) {
        return m("replicaId", -1, "topics", a(m("topic", topic,
                "partitions", a(m("partition", partition, "leaderEpoch", 0)))));
    }

    private static Map<String, Object> deleteRecords(String topic, int partition, long offset) {
        return m("timeoutMs", 10_000, "topics", List.of(m("name", topic, "partitions",
                a(m("partitionIndex", partition, "offset", offset)))));
    }
}
