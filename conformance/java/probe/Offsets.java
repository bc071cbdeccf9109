package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import java.util.Map;
import org.apache.kafka.common.Uuid;
import probe.Probe.Claim;

/** Offsets of groups without members. */
final class Offsets {
    private Offsets() {}

    static void run(Probe probe) throws Exception {
        for (short version : probe.versions("OffsetCommit")) {
            // Version 0 stored offsets in ZooKeeper, which KRaft does not have.
            probe.step("OffsetCommit", version, "one", version == 0 ? Claim.ERROR : Claim.OK,
                    (way, it) -> commit(Setup.group(way, "commit-v" + version), Setup.RECORDS,
                            Setup.recordsId()), (way, response) -> { });
        }
        probe.each("OffsetCommit", "unknown topic", Claim.ERROR, (way, version) ->
                commit(Setup.group(way, "commit"), Setup.NOTHING, Setup.NO_ID));
        probe.since(1, "OffsetCommit", "unknown member", Claim.ERROR, (way, version) -> {
            Map<String, Object> values = commit(Setup.group(way, "commit"),
                    Setup.RECORDS, Setup.recordsId());
            values.put("generationIdOrMemberEpoch", 5);
            values.put("memberId", "nobody");
            return values;
        });
        for (Way way : probe.ways) {
            probe.prepare(way, "OffsetCommit", commit(Setup.group(way, "commit"),
                    Setup.RECORDS, Setup.recordsId()));
        }
        fetch(probe);
        delete(probe);
    }

    static Map<String, Object> commit(String group, String topic, Uuid id) {
        return m("groupId", group, "generationIdOrMemberEpoch", -1, "memberId", "",
                "topics", a(m("name", topic, "?topicId", id, "partitions", a(
                        m("partitionIndex", 0, "committedOffset", 3, "committedMetadata", "m"),
                        m("partitionIndex", 1, "committedOffset", 4,
                                "committedMetadata", null)))));
    }

    private static void fetch(Probe probe) throws Exception {
        for (short version : probe.versions("OffsetFetch")) {
            probe.step("OffsetFetch", version, "some", version == 0 ? Claim.ERROR : Claim.OK,
                    (way, it) -> fetch(Setup.group(way, "commit"),
                            topics(Setup.RECORDS, Setup.recordsId())), (way, response) -> { });
        }
        probe.since(2, "OffsetFetch", "all", Claim.OK, (way, version) ->
                fetch(Setup.group(way, "commit"), null));
        // Before topics had ids there was no error for an unknown one, only no offset.
        probe.each("OffsetFetch", "unknown topic", Claim.ANY, (way, version) ->
                fetch(Setup.group(way, "commit"), topics(Setup.NOTHING, Setup.NO_ID)));
    }

    static Object topics(String name, Uuid id) {
        return a(m("name", name, "?topicId", id, "partitionIndexes", a(0, 1, 2)));
    }

    private static Map<String, Object> fetch(String group, Object topics) {
        return m("groupId", group, "topics", topics, "requireStable", true,
                "groups", a(m("groupId", group, "topics", topics)));
    }

    private static void delete(Probe probe) throws Exception {
        for (Way way : probe.ways) {
            for (short version : probe.versions("DeleteGroups")) {
                probe.prepare(way, "OffsetCommit",
                        commit(Setup.group(way, "gone-v" + version), Setup.RECORDS,
                                Setup.recordsId()));
            }
        }
        probe.each("DeleteGroups", "without members", Claim.OK, (way, version) ->
                m("groupsNames", a(Setup.group(way, "gone-v" + version))));
        probe.each("OffsetDelete", "some", Claim.OK, (way, version) ->
                m("groupId", Setup.group(way, "commit"), "topics",
                        a(m("name", Setup.RECORDS, "partitions", a(m("partitionIndex", 1))))));
        probe.each("OffsetDelete", "unknown group", Claim.ERROR, (way, version) ->
                m("groupId", Setup.group(way, "nobody"), "topics",
                        a(m("name", Setup.RECORDS, "partitions", a(m("partitionIndex", 1))))));
    }
}
