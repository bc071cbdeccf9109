package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import java.util.Map;
import probe.Probe.Claim;

/** Groups of the consumer protocol (KIP-848). */
final class ModernGroups {
    private ModernGroups() {}

    static void run(Probe probe) throws Exception {
        for (short version : probe.versions("ConsumerGroupHeartbeat")) {
            String group = "consumer-v" + version;
            probe.step("ConsumerGroupHeartbeat", version, "joins", Claim.OK, (way, it) ->
                    beat(way, group, version == 0 ? "" : way.own("member"), 0),
                    (way, response) -> {
                        way.keep("member", response.at("/memberId").asText());
                        way.keep("epoch", response.at("/memberEpoch").asInt());
                    });
            probe.step("ConsumerGroupHeartbeat", version, "stays", Claim.OK, (way, it) ->
                    m("groupId", Setup.group(way, group), "memberId",
                            way.kept("member"), "memberEpoch", way.kept("epoch")),
                    (way, response) -> { });
            probe.step("ConsumerGroupHeartbeat", version, "unknown member", Claim.ERROR,
                    (way, it) -> beat(way, group, "nobody", 7), (way, response) -> { });
            probe.step("ConsumerGroupHeartbeat", version, "malformed", Claim.ERROR,
                    (way, it) -> m("groupId", "", "memberId", "x", "memberEpoch", 0),
                    (way, response) -> { });
            for (short fetched : probe.versions("OffsetFetch")) {
                if (fetched >= 9) {
                    probe.step("OffsetFetch", fetched, "unknown member of a group of version "
                            + version, Claim.ERROR, (way, it) -> m("groups", a(m(
                                    "groupId", Setup.group(way, group),
                                    "memberId", "nobody", "memberEpoch", 5, "topics",
                                    Offsets.topics(Setup.RECORDS, Setup.recordsId())))),
                            (way, response) -> { });
                }
            }
            for (short described : probe.versions("ConsumerGroupDescribe")) {
                probe.step("ConsumerGroupDescribe", described,
                        "one made by version " + version, Claim.OK, (way, it) ->
                                m("groupIds", a(Setup.group(way, group)),
                                        "includeAuthorizedOperations", true),
                        (way, response) -> { });
            }
        }
        probe.each("ConsumerGroupDescribe", "unknown group", Claim.ERROR, (way, version) ->
                m("groupIds", a(Setup.group(way, "nobody"))));
    }

    private static Map<String, Object> beat(Way way, String group, String member,
            int epoch) {
        return m("groupId", Setup.group(way, group), "memberId", member,
                "memberEpoch", epoch, "rebalanceTimeoutMs", 10_000,
                "subscribedTopicNames", a(Setup.RECORDS), "topicPartitions", a());
    }
}
