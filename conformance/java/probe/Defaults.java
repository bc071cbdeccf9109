package probe;

import static probe.Probe.m;

import java.util.Set;
import org.apache.kafka.common.message.ApiMessageType;
import probe.Probe.Claim;

/** Every API at every version once more, with nothing set but what its class sets. */
final class Defaults {
    /**
     * Produce has acks of 0 then, to which there is no response. Brokers of 3.9 never respond to an
     * OffsetFetch without groups. ApiVersions has cases of its own, without which its list of
     * differences would be longer.
     */
    private static final Set<ApiMessageType> LEFT_OUT = Set.of(
            ApiMessageType.PRODUCE, ApiMessageType.OFFSET_FETCH, ApiMessageType.API_VERSIONS,
            // Kafka takes none of these with nothing set, and doorkeeper denies them without a look.
            ApiMessageType.DESCRIBE_ACLS, ApiMessageType.CREATE_ACLS, ApiMessageType.DELETE_ACLS,
            // Denied, whatever the broker would do.
            ApiMessageType.DESCRIBE_CLIENT_QUOTAS, ApiMessageType.ALTER_CLIENT_QUOTAS,
            ApiMessageType.DESCRIBE_USER_SCRAM_CREDENTIALS,
            ApiMessageType.ALTER_USER_SCRAM_CREDENTIALS);

    private Defaults() {}

    static void run(Probe probe) throws Exception {
        for (ApiMessageType type : ApiMessageType.values()) {
            if (!LEFT_OUT.contains(type)) {
                // Replica 0 is the default of some classes, and no client.
                probe.each(type.name, "nothing set", Claim.ANY,
                        (way, version) -> m("?replicaId", -1));
            }
        }
    }
}
