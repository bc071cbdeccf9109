package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import java.util.Map;
import org.apache.kafka.common.Uuid;
import probe.Probe.Claim;

/** Streams groups (KIP-1071) and their described topology (KIP-1331). */
final class StreamsGroups {
    private StreamsGroups() {}

    static void run(Probe probe) throws Exception {
        for (short version : probe.versions("StreamsGroupHeartbeat")) {
            String group = "streams-v" + version;
            probe.step("StreamsGroupHeartbeat", version, "joins", Claim.OK, (way, it) ->
                    beat(way, group, member(way), 0), (way, response) ->
                    way.keep("epoch " + group, response.at("/memberEpoch").asInt()));
            probe.step("StreamsGroupHeartbeat", version, "unknown member", Claim.ERROR,
                    (way, it) -> stay(way, group, new Uuid(7, 7).toString(), 7),
                    (way, response) -> { });
            for (short described : probe.versions("StreamsGroupDescribe")) {
                probe.step("StreamsGroupDescribe", described, "one made by version " + version,
                        Claim.OK, (way, it) -> m("groupIds", a(Setup.group(way, group)),
                                "includeAuthorizedOperations", true), (way, response) -> { });
            }
        }
        probe.each("StreamsGroupDescribe", "unknown group", Claim.ERROR, (way, version) ->
                m("groupIds", a(Setup.group(way, "nobody"))));
        probe.each("StreamsGroupTopologyDescriptionUpdate", "of a member", Claim.ANY,
                (way, version) -> topology(way, "streams-v1", member(way)));
        probe.each("StreamsGroupTopologyDescriptionUpdate", "unknown member", Claim.ERROR,
                (way, version) -> topology(way, "nobody", "nobody"));
    }

    private static String member(Way way) {
        return new Uuid(2, way.name.hashCode()).toString();
    }

    private static Map<String, Object> stay(Way way, String group, String member,
            int epoch) {
        return m("groupId", Setup.group(way, group), "memberId", member,
                "memberEpoch", epoch);
    }

    private static Map<String, Object> beat(Way way, String group, String member,
            int epoch) {
        Object part = m("subtopologyId", "0", "sourceTopics", a(Setup.RECORDS));
        return m("groupId", Setup.group(way, group), "memberId", member,
                "memberEpoch", epoch, "rebalanceTimeoutMs", 10_000,
                "topology", m("epoch", 1, "subtopologies", a(part)),
                "activeTasks", a(), "standbyTasks", a(), "warmupTasks", a(),
                "processId", "process", "clientTags", a(),
                "userEndpoint", m("host", "app.example", "port", 4242));
    }

    private static Map<String, Object> topology(Way way, String group,
            String member) {
        Object source = m("name", "source", "nodeType", 0, "sourceTopics", a(Setup.RECORDS),
                "successors", a());
        return m("groupId", Setup.group(way, group), "memberId", member,
                "topologyEpoch", 1, "topologyDescription", m("subtopologies",
                        a(m("subtopologyId", "0", "nodes", a(source)))));
    }
}
