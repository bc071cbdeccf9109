package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiMessage;

/**
 * Requests that doorkeeper does not forward: APIs and versions that it does not offer, requests of
 * a replica, and requests that it denies. They are sent through doorkeeper only, because what the
 * broker would do with them does not matter.
 */
final class NotForwarded {
    private NotForwarded() {}

    static void run(Probe probe) throws Exception {
        for (ApiMessageType type : ApiMessageType.values()) {
            short[] range = probe.offered.get(type.apiKey());
            if (range == null) {
                for (int it = type.lowestSupportedVersion();
                        it <= type.highestSupportedVersion(true); it++) {
                    short version = (short) it;
                    if (probe.advertised.containsKey(type.apiKey())) {
                        closed(probe, type, version, "not offered", defaults(type, version));
                    } else {
                        unknown(probe, type, version);
                    }
                }
            } else if (type != ApiMessageType.API_VERSIONS) {
                unsupported(probe, type, range[1]);
            }
        }
        denied(probe);
        for (short version : probe.versions("Fetch")) {
            Map<String, Object> asBroker = m("replicaId", 2,
                    "?replicaState", m("replicaId", 2, "replicaEpoch", 1), "topics", a());
            asReplica(probe, ApiMessageType.FETCH, version, asBroker);
        }
        for (short version : probe.versions("ListOffsets")) {
            asReplica(probe, ApiMessageType.LIST_OFFSETS, version, m("replicaId", 2));
        }
    }

    /** Versions that a broker has and doorkeeper does not offer, and one that nobody has. */
    private static void unsupported(Probe probe, ApiMessageType type, short last)
            throws Exception {
        List<Short> versions = new ArrayList<>(List.of(Negotiation.UNSUPPORTED));
        for (int it = last + 1; it <= probe.advertised.get(type.apiKey())[1]; it++) {
            versions.add((short) it);
        }
        for (short version : versions) {
            closed(probe, type, version, "unsupported version", ByteBuffer.allocate(0));
        }
    }

    private static void asReplica(Probe probe, ApiMessageType type, short version,
            Map<String, Object> values) throws Exception {
        ApiMessage request = Messages.build(type.newRequest().getClass(), version, values);
        closed(probe, type, version, "as a replica", Messages.write(request, version));
    }

    /** Requests that doorkeeper denies, whatever the broker would do. */
    private static void denied(Probe probe) throws Exception {
        for (short version : probe.versions("FindCoordinator")) {
            if (version >= 6) {
                denied(probe, "FindCoordinator", version, "of a share",
                        ClusterCases.coordinator(2, "group:" + Setup.NO_ID + ":0"));
            }
        }
        Map<String, Object> entity = m("entityType", "client-id", "entityName", "some");
        var requests = new LinkedHashMap<String, Map<String, Object>>();
        requests.put("DescribeClientQuotas", m("components", a(), "strict", false));
        requests.put("AlterClientQuotas", m("validateOnly", true, "entries", a(m("entity",
                a(entity), "ops", a(m("key", "producer_byte_rate", "remove", true))))));
        requests.put("DescribeUserScramCredentials", m("users", null));
        requests.put("AlterUserScramCredentials", m("upsertions", a(),
                "deletions", a(m("name", "nobody", "mechanism", 1))));
        for (var request : requests.entrySet()) {
            for (short version : probe.versions(request.getKey())) {
                denied(probe, request.getKey(), version, "not allowed", request.getValue());
            }
        }
    }

    private static void denied(Probe probe, String api, short version, String label,
            Map<String, Object> values) throws Exception {
        ApiMessageType type = Probe.type(api);
        Way.Response response = probe.behind.call(type, version, values);
        ObjectNode line = Probe.describe(type, version, label).put("not_forwarded", true);
        line.put("closed", response.isClosed());
        if (!response.isClosed()) {
            var errors = line.putArray("errors");
            Probe.errors(response.json).forEach(code -> errors.add(code));
        }
        probe.print(line);
    }

    private static ByteBuffer defaults(ApiMessageType type, short version) throws Exception {
        ApiMessage request = Messages.build(type.newRequest().getClass(), version, m());
        return Messages.write(request, version);
    }

    /** Nobody offers it here. If doorkeeper forwards it nevertheless, both responses must agree. */
    private static void unknown(Probe probe, ApiMessageType type, short version)
            throws Exception {
        // Two ids with the same hash, of which a telemetry subscription's id is made.
        Uuid one = Setup.NO_ID;
        Uuid other = new Uuid(one.getLeastSignificantBits(), one.getMostSignificantBits());
        Way.Response through = probe.behind.call(type, version, m("?clientInstanceId", other));
        if (through.isClosed()) {
            probe.print(Probe.describe(type, version, "not offered").put("not_forwarded", true)
                    .put("closed", true));
            return;
        }
        ObjectNode line = Probe.describe(type, version, "not offered").put("claim", "any");
        line.set("direct", probe.direct.call(type, version, m("?clientInstanceId", one)).line());
        line.set("behind", through.line());
        probe.print(line);
    }

    private static void closed(Probe probe, ApiMessageType type, short version, String label,
            ByteBuffer body) throws Exception {
        ObjectNode line = Probe.describe(type, version, label).put("not_forwarded", true);
        short header = type.requestHeaderVersion(version);
        byte[] response = probe.behind.wire.call(type.apiKey(), version, header, body);
        line.put("closed", response == null);
        probe.print(line);
    }
}
