package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import probe.Probe.Claim;

/** Groups of the classic protocol: one member each, which joins, syncs, beats and leaves. */
final class ClassicGroups {
    private static final int MEMBER_ID_REQUIRED = 79;
    private static final byte[] ASSIGNMENT = {1, 2, 3};
    private static final Probe.Keep NOTHING = (way, response) -> { };

    private ClassicGroups() {}

    static void run(Probe probe) throws Exception {
        join(probe);
        for (short version : probe.versions("SyncGroup")) {
            String group = "sync-v" + version;
            for (Way way : probe.ways) {
                member(probe, way, group);
            }
            probe.step("SyncGroup", version, "the leader's", Claim.OK,
                    (way, it) -> sync(way, group), NOTHING);
        }
        probe.each("SyncGroup", "unknown member", Claim.ERROR, (way, version) ->
                m("groupId", Setup.group(way, "nobody"), "generationId", 1,
                        "memberId", "nobody", "protocolType", "consumer",
                        "protocolName", "range"));
        beat(probe);
        leave(probe);
        describe(probe);
        probe.each("DeleteGroups", "unknown group", Claim.ERROR, (way, version) ->
                m("groupsNames", a(Setup.group(way, "nobody"))));
    }

    private static void join(Probe probe) throws Exception {
        for (short version : probe.versions("JoinGroup")) {
            String group = "join-v" + version;
            Claim first = version < 4 ? Claim.OK : Claim.ERROR;
            probe.step("JoinGroup", version, "without an id", first, (way, it) ->
                    join(way, group, ""), (way, response) ->
                    way.keep("joining", response.at("/memberId").asText()));
            probe.step("JoinGroup", version, "with an id", Claim.OK, (way, it) ->
                    join(way, group, (String) way.kept("joining")), NOTHING);
            probe.step("JoinGroup", version, "unknown member", Claim.ERROR, (way, it) ->
                    join(way, group, "nobody"), NOTHING);
            probe.step("JoinGroup", version, "too short a session", Claim.ERROR, (way, it) -> {
                Map<String, Object> values = join(way, "hasty", "");
                values.put("sessionTimeoutMs", 1);
                return values;
            }, NOTHING);
        }
    }

    /** With times so long that members who do nothing more are there when groups are listed. */
    private static Map<String, Object> join(Way way, String group, String member) {
        return m("groupId", Setup.group(way, group), "sessionTimeoutMs", 300_000,
                "rebalanceTimeoutMs", 300_000, "memberId", member, "protocolType", "consumer",
                "protocols", a(m("name", "range", "metadata", subscription())));
    }

    /** Version 0 of the consumer protocol: one topic, no data of its own. */
    private static byte[] subscription() {
        byte[] topic = Setup.RECORDS.getBytes(StandardCharsets.UTF_8);
        ByteBuffer buffer = ByteBuffer.allocate(12 + topic.length);
        buffer.putShort((short) 0).putInt(1).putShort((short) topic.length).put(topic).putInt(-1);
        return buffer.array();
    }

    /** Joins a group, by whichever version is newest. */
    private static void member(Probe probe, Way way, String group) throws Exception {
        JsonNode asked = probe.prepare(way, "JoinGroup", join(way, group, ""), json ->
                json.get("errorCode").asInt() == MEMBER_ID_REQUIRED);
        JsonNode joined = probe.prepare(way, "JoinGroup",
                join(way, group, asked.get("memberId").asText()));
        way.keep("member " + group, joined.get("memberId").asText());
        way.keep("generation " + group, joined.get("generationId").asInt());
    }

    private static Map<String, Object> sync(Way way, String group) {
        Object member = way.kept("member " + group);
        return m("groupId", Setup.group(way, group), "generationId",
                way.kept("generation " + group), "memberId", member, "protocolType", "consumer",
                "protocolName", "range", "assignments",
                a(m("memberId", member, "assignment", ASSIGNMENT)));
    }

    private static void stableMember(Probe probe, String group) throws Exception {
        for (Way way : probe.ways) {
            member(probe, way, group);
            probe.prepare(way, "SyncGroup", sync(way, group));
        }
    }

    private static void beat(Probe probe) throws Exception {
        stableMember(probe, "beat");
        probe.each("Heartbeat", "a member", Claim.OK, (way, version) ->
                m("groupId", Setup.group(way, "beat"), "generationId",
                        way.kept("generation beat"), "memberId", way.kept("member beat")));
        probe.each("Heartbeat", "unknown member", Claim.ERROR, (way, version) ->
                m("groupId", Setup.group(way, "beat"), "generationId", 1,
                        "memberId", "nobody"));
    }

    private static void leave(Probe probe) throws Exception {
        for (short version : probe.versions("LeaveGroup")) {
            String group = "leave-v" + version;
            stableMember(probe, group);
            probe.step("LeaveGroup", version, "unknown member", Claim.ERROR, (way, it) ->
                    leave(way, group, "nobody"), NOTHING);
            probe.step("LeaveGroup", version, "a member", Claim.OK, (way, it) ->
                    leave(way, group, way.kept("member " + group)), NOTHING);
        }
    }

    private static Map<String, Object> leave(Way way, String group, Object member) {
        // One by itself below version 3, a list from there on.
        return m("groupId", Setup.group(way, group), "memberId", member,
                "members", a(m("memberId", member)));
    }

    private static void describe(Probe probe) throws Exception {
        probe.each("DescribeGroups", "with a member", Claim.OK, (way, version) ->
                m("groups", a(Setup.group(way, "beat")),
                        "includeAuthorizedOperations", true));
        probe.each("DescribeGroups", "unknown group", Claim.ANY, (way, version) ->
                m("groups", a(Setup.group(way, "nobody"))));
        probe.each("ListGroups", "all", Claim.OK, (way, version) -> m());
        probe.since(4, "ListGroups", "by state and type", Claim.ANY, (way, version) ->
                m("statesFilter", a("Stable"), "typesFilter", a("classic")));
        probe.since(4, "ListGroups", "by what is none", Claim.ANY, (way, version) ->
                m("statesFilter", a("Nonsense"), "typesFilter", a("nonsense")));
    }
}
