package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import probe.Probe.Claim;

/** Share groups (KIP-932): heartbeats, records that are acquired and acknowledged, offsets. */
final class ShareGroups {
    private static final Probe.Keep NOTHING = (way, response) -> { };
    private static final byte ACCEPT = 1;

    private ShareGroups() {}

    static void run(Probe probe) throws Exception {
        if (!probe.has("ShareGroupHeartbeat")) {
            return;
        }
        probe.each("ShareGroupHeartbeat", "joins", Claim.OK, (way, version) ->
                beat(way, "shared", member(way), 0));
        probe.each("ShareGroupHeartbeat", "unknown member", Claim.ERROR, (way, version) ->
                beat(way, "shared", new Uuid(7, 7).toString(), 7));
        probe.each("ShareGroupDescribe", "with a member", Claim.OK, (way, version) ->
                m("groupIds", a(Setup.group(way, "shared")),
                        "includeAuthorizedOperations", true));
        probe.each("ShareGroupDescribe", "unknown group", Claim.ERROR, (way, version) ->
                m("groupIds", a(Setup.group(way, "nobody"))));
        open(probe);
        for (short version : probe.versions("ShareFetch")) {
            fetch(probe, version);
        }
        others(probe);
        offsets(probe);
    }

    private static String member(Way way) {
        return new Uuid(1, way.name.hashCode()).toString();
    }

    private static Map<String, Object> beat(Way way, String group, String member,
            int epoch) {
        return m("groupId", Setup.group(way, group), "memberId", member,
                "memberEpoch", epoch, "subscribedTopicNames",
                a(Setup.RECORDS, Setup.LARGE));
    }

    /** Groups that begin at the first record, and have been given their partitions. */
    private static void open(Probe probe) throws Exception {
        List<String> groups = new ArrayList<>();
        for (short version : probe.versions("ShareFetch")) {
            groups.addAll(List.of("shared-v" + version, "others-v" + version));
        }
        for (Way way : probe.ways) {
            for (String group : groups) {
                probe.prepare(way, "IncrementalAlterConfigs", ConfigCases.alter(
                        ConfigCases.GROUP, Setup.group(way, group),
                        "share.auto.offset.reset", "earliest"));
                probe.prepare(way, "ShareGroupHeartbeat", beat(way, group, member(way), 0));
            }
        }
        // Their shares are initialised in the meantime, which takes seconds.
        for (Way way : probe.ways) {
            for (String group : groups) {
                probe.prepare(way, "ShareGroupHeartbeat", beat(way, group, member(way), 0),
                        json -> Probe.errors(json).isEmpty()
                                && json.at("/assignment/topicPartitions").size() == 2);
            }
        }
    }

    private static void fetch(Probe probe, short version) throws Exception {
        String group = "shared-v" + version;
        short acknowledge = (short) Math.min(version, probe.newest("ShareAcknowledge"));
        Object records = topic(Setup.recordsId(), partition(0));
        probe.step("ShareFetch", version, "records", Claim.OK, (way, it) ->
                fetch(way, group, 0, records), NOTHING);
        probe.step("ShareAcknowledge", acknowledge, "records", Claim.OK, (way, it) ->
                acknowledge(way, group, 1, 0), NOTHING);
        // Responses differ between releases: what is acknowledged already may count as done.
        probe.step("ShareAcknowledge", acknowledge, "again", Claim.ANY, (way, it) ->
                acknowledge(way, group, 2, 0), NOTHING);
        probe.step("ShareAcknowledge", acknowledge, "not in the session", Claim.ERROR,
                (way, it) -> acknowledge(way, group, 3, 1), NOTHING);
        probe.step("ShareFetch", version, "large", Claim.OK, (way, it) ->
                fetch(way, group, 4, topic(Setup.largeId(), partition(0))), NOTHING);
        probe.step("ShareFetch", version, "the session ends", Claim.OK, (way, it) ->
                fetch(way, group, -1), NOTHING);
        probe.step("ShareFetch", version, "unknown session", Claim.ERROR, (way, it) ->
                fetch(way, group, 7), NOTHING);
    }

    /** Partitions that other brokers lead, beside little and beside much. */
    private static void others(Probe probe) throws Exception {
        for (short version : probe.versions("ShareFetch")) {
            String group = "others-v" + version;
            probe.step("ShareFetch", version, "others' partitions", Claim.ERROR, (way, it) ->
                    fetch(way, group, 0,
                            topic(Setup.recordsId(), partition(1), partition(2))), NOTHING);
            short acknowledge = (short) Math.min(version, probe.newest("ShareAcknowledge"));
            // Not the error of a partition that moved: the broker knows no share of it.
            probe.step("ShareAcknowledge", acknowledge, "another's partition", Claim.ERROR,
                    (way, it) -> acknowledge(way, group, 1, 1), NOTHING);
            probe.step("ShareFetch", version, "large, and another's partition", Claim.ERROR,
                    (way, it) -> fetch(way, group, 2,
                            topic(Setup.largeId(), partition(0), partition(1))), NOTHING);
            probe.step("ShareFetch", version, "unknown topic", Claim.ERROR, (way, it) ->
                    fetch(way, group, 3, topic(Setup.NO_ID, partition(0))), NOTHING);
            probe.step("ShareFetch", version, "the session ends", Claim.OK, (way, it) ->
                    fetch(way, group, -1), NOTHING);
        }
    }

    private static Object topic(Uuid id, Object... partitions) {
        return m("topicId", id, "partitions", a(partitions));
    }

    private static Object partition(int index) {
        return m("partitionIndex", index);
    }

    private static Map<String, Object> fetch(Way way, String group, int epoch,
            Object... topics) {
        return m("groupId", Setup.group(way, group), "memberId", member(way),
                "shareSessionEpoch", epoch, "maxWaitMs", 500, "minBytes", 1, "maxBytes", 1 << 20,
                "?maxRecords", 100, "?batchSize", 100, "topics", a(topics));
    }

    private static Map<String, Object> acknowledge(Way way, String group, int epoch,
            int partition) {
        return m("groupId", Setup.group(way, group), "memberId", member(way),
                "shareSessionEpoch", epoch, "topics", a(m("topicId", Setup.recordsId(),
                        "partitions", a(m("partitionIndex", partition, "acknowledgementBatches",
                                a(m("firstOffset", 0, "lastOffset", 4,
                                        "acknowledgeTypes", a(ACCEPT))))))));
    }

    private static void offsets(Probe probe) throws Exception {
        String group = "shared-v" + probe.newest("ShareFetch");
        probe.each("DescribeShareGroupOffsets", "some", Claim.OK, (way, version) ->
                describe(way, group, a(m("topicName", Setup.RECORDS,
                        "partitions", a(0)))));
        probe.each("DescribeShareGroupOffsets", "all", Claim.OK, (way, version) ->
                describe(way, group, null));
        probe.each("DescribeShareGroupOffsets", "unknown group", Claim.ANY, (way, version) ->
                describe(way, "nobody", null));
        probe.each("AlterShareGroupOffsets", "with members", Claim.ERROR, (way, version) ->
                alter(way, group, Setup.RECORDS));
        for (Way way : probe.ways) {
            probe.prepare(way, "ShareGroupHeartbeat", beat(way, group, member(way), -1));
        }
        probe.each("AlterShareGroupOffsets", "some", Claim.OK, (way, version) ->
                alter(way, group, Setup.RECORDS));
        probe.each("AlterShareGroupOffsets", "unknown topic", Claim.ERROR, (way, version) ->
                alter(way, group, Setup.NOTHING));
        probe.each("DeleteShareGroupOffsets", "of a topic", Claim.OK, (way, version) ->
                m("groupId", Setup.group(way, group), "topics",
                        a(m("topicName", Setup.RECORDS))));
        probe.each("DeleteShareGroupOffsets", "unknown topic", Claim.ERROR, (way, version) ->
                m("groupId", Setup.group(way, group), "topics",
                        a(m("topicName", Setup.NOTHING))));
        probe.each("DeleteShareGroupOffsets", "unknown group", Claim.ERROR, (way, version) ->
                m("groupId", Setup.group(way, "nobody"), "topics",
                        a(m("topicName", Setup.RECORDS))));
    }

    private static Map<String, Object> describe(Way way, String group,
            Object topics) {
        return m("groups", a(m("groupId", Setup.group(way, group), "topics", topics)));
    }

    private static Map<String, Object> alter(Way way, String group, String topic) {
        return m("groupId", Setup.group(way, group), "topics", a(m("topicName", topic,
                "partitions", a(m("partitionIndex", 0, "startOffset", 2)))));
    }
}
