package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import java.util.List;
import java.util.Map;
import probe.Probe.Claim;

/** Settings of topics, groups and brokers. */
final class ConfigCases {
    static final int TOPIC = 2;
    static final int BROKER = 4;
    static final int BROKER_LOGGER = 8;
    static final int GROUP = 32;

    private ConfigCases() {}

    static void run(Probe probe) throws Exception {
        probe.each("DescribeConfigs", "of a topic", Claim.OK, (way, version) ->
                describe(TOPIC, Setup.RECORDS, null));
        probe.each("DescribeConfigs", "of a broker", Claim.OK, (way, version) ->
                describe(BROKER, "1", null));
        probe.each("DescribeConfigs", "one of a broker", Claim.OK, (way, version) ->
                describe(BROKER, "1", a("listeners", "num.partitions")));
        probe.each("DescribeConfigs", "of all brokers", Claim.OK, (way, version) ->
                describe(BROKER, "", null));
        probe.each("DescribeConfigs", "of loggers", Claim.OK, (way, version) ->
                describe(BROKER_LOGGER, "1", a("kafka")));
        probe.each("DescribeConfigs", "of another broker", Claim.ERROR, (way, version) ->
                describe(BROKER, "2", null));
        probe.each("DescribeConfigs", "unknown topic", Claim.ERROR, (way, version) ->
                describe(TOPIC, Setup.NOTHING, null));
        probe.each("AlterConfigs", "of a topic", Claim.OK, (way, version) ->
                alter(TOPIC, way.own("config"), "retention.ms", "" + (1_000_000 + version)));
        probe.each("AlterConfigs", "unknown topic", Claim.ERROR, (way, version) ->
                alter(TOPIC, Setup.NOTHING, "retention.ms", "1000000"));
        probe.each("AlterConfigs", "bad value", Claim.ERROR, (way, version) ->
                alter(TOPIC, way.own("config"), "retention.ms", "x"));
        probe.each("IncrementalAlterConfigs", "of a topic", Claim.OK, (way, version) ->
                alter(TOPIC, way.own("config"), "segment.ms", "" + (1_000_000 + version)));
        probe.each("IncrementalAlterConfigs", "unknown topic", Claim.ERROR, (way, version) ->
                alter(TOPIC, Setup.NOTHING, "retention.ms", "1000000"));
        // Brokers reject these with a text, which could quote their own configuration.
        for (String key : List.of("listeners", "advertised.listeners", "controller.quorum.voters",
                "listener.security.protocol.map")) {
            probe.each("IncrementalAlterConfigs", key + " of a broker", Claim.ERROR,
                    (way, version) -> alter(BROKER, "1", key, "INTERNAL://elsewhere:1"));
            probe.each("AlterConfigs", key + " of a broker", Claim.ERROR,
                    (way, version) -> alter(BROKER, "1", key, "CLIENT:SSL,INTERNAL:SSL"));
        }
        probe.each("ListConfigResources", "all", Claim.OK, (way, version) ->
                m("?resourceTypes", a()));
        probe.since(1, "ListConfigResources", "unknown kind", Claim.ERROR, (way, version) ->
                m("?resourceTypes", a(77)));
    }

    private static Map<String, Object> describe(int type, String name, Object keys) {
        return m("includeSynonyms", true, "includeDocumentation", true, "resources",
                a(m("resourceType", type, "resourceName", name, "configurationKeys", keys)));
    }

    /** One setting, for either of the two APIs. */
    static Map<String, Object> alter(int type, String name, String key, String value) {
        return m("resources", a(m("resourceType", type, "resourceName", name, "configs",
                a(m("name", key, "value", value, "?configOperation", 0)))));
    }
}
