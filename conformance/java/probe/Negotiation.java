package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.message.ApiMessageType;

/** ApiVersions, and what there is of SASL on a listener without it. */
final class Negotiation {
    /** No API will have as many for a long time. */
    static final short UNSUPPORTED = 99;

    private Negotiation() {}

    /** Which versions either side has. */
    static void learn(Probe probe) throws Exception {
        ranges(probe.direct, probe.advertised);
        ranges(probe.behind, probe.offered);
    }

    private static void ranges(Way way, Map<Short, short[]> ranges) throws Exception {
        short version = 3;
        Way.Response response = way.call(ApiMessageType.API_VERSIONS, version, software());
        for (JsonNode key : response.at("/apiKeys")) {
            ranges.put((short) key.get("apiKey").asInt(), new short[] {
                (short) key.get("minVersion").asInt(), (short) key.get("maxVersion").asInt()});
        }
    }

    private static Map<String, Object> software() {
        return m("clientSoftwareName", "every-api", "clientSoftwareVersion", "1.0");
    }

    static void run(Probe probe) throws Exception {
        probe.each("ApiVersions", "all", Probe.Claim.OK, (way, version) -> software());
        probe.since(3, "ApiVersions", "malformed software name", Probe.Claim.ERROR,
                (way, version) -> m("clientSoftwareName", "-", "clientSoftwareVersion", "-"));
        probe.since(5, "ApiVersions", "another cluster", Probe.Claim.ERROR,
                (way, version) -> m("clientSoftwareName", "every-api", "clientSoftwareVersion",
                        "1.0", "?clusterId", "another-cluster", "?nodeId", 1));
        probe.since(5, "ApiVersions", "another node", Probe.Claim.ERROR,
                (way, version) -> m("clientSoftwareName", "every-api", "clientSoftwareVersion",
                        "1.0", "?clusterId", null, "?nodeId", 3));
        unsupported(probe);
        probe.each("SaslHandshake", "no SASL here", Probe.Claim.ERROR,
                (way, version) -> m("mechanism", "PLAIN"));
        probe.each("SaslAuthenticate", "no SASL here", Probe.Claim.ERROR,
                (way, version) -> m("authBytes", new byte[] {0, 'a', 0, 'b'}));
        security(probe);
    }

    /** What a broker says that has no authorizer, on a listener without a login. */
    private static void security(Probe probe) throws Exception {
        probe.each("DescribeAcls", "no authorizer", Probe.Claim.ERROR, (way, version) -> filter());
        probe.each("CreateAcls", "no authorizer", Probe.Claim.ERROR,
                (way, version) -> m("creations", a(acl(), acl())));
        probe.each("DeleteAcls", "no authorizer", Probe.Claim.ERROR,
                (way, version) -> m("filters", a(filter(), filter())));
        probe.each("CreateDelegationToken", "no login", Probe.Claim.ERROR,
                (way, version) -> m("renewers", a(), "maxLifetimeMs", 60_000));
        probe.each("RenewDelegationToken", "no login", Probe.Claim.ERROR,
                (way, version) -> m("hmac", new byte[] {1}, "renewPeriodMs", 60_000));
        probe.each("ExpireDelegationToken", "no login", Probe.Claim.ERROR,
                (way, version) -> m("hmac", new byte[] {1}, "expiryTimePeriodMs", 60_000));
        probe.each("DescribeDelegationToken", "no login", Probe.Claim.ERROR,
                (way, version) -> m("owners", null));
    }

    private static Map<String, Object> acl() {
        return m("resourceType", 2, "resourceName", "topic", "resourcePatternType", 3,
                "principal", "User:a", "host", "*", "operation", 3, "permissionType", 3);
    }

    private static Map<String, Object> filter() {
        return m("resourceTypeFilter", 2, "resourceNameFilter", "topic", "patternTypeFilter", 3,
                "principalFilter", null, "hostFilter", null, "operation", 1, "permissionType", 1);
    }

    /** The response has the form of version 0 and says which versions there are. */
    private static void unsupported(Probe probe) throws Exception {
        ApiMessageType type = ApiMessageType.API_VERSIONS;
        short newer = (short) (probe.advertised.get(type.apiKey())[1] + 1);
        for (short version : List.of(newer, UNSUPPORTED)) {
            var line = Probe.describe(type, version, "unsupported version");
            line.put("claim", "error");
            for (Way way : probe.ways) {
                // Of version 3 and later: two short texts and no tagged fields.
                ByteBuffer body = ByteBuffer.wrap(new byte[] {2, 'a', 2, 'b', 0});
                line.set(way.name, way.call(type, version, (short) 0, body).line());
            }
            probe.print(line);
        }
    }
}
