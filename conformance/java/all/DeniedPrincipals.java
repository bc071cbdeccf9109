import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Requests that act on doorkeeper's own principal, or on the security of the cluster. */
final class DeniedPrincipals {
    private DeniedPrincipals() {}

    static Map<String, Object> run(Run run) throws Exception {
        Map<String, Object> agree = new LinkedHashMap<>();
        AclBinding acl = new AclBinding(
                new ResourcePattern(ResourceType.TOPIC, run.name("topic"), PatternType.LITERAL),
                new AccessControlEntry("User:a", "*", AclOperation.READ, AclPermissionType.ALLOW));
        agree.put("describe_acls",
                Topics.outcome(run.admin.describeAcls(AclBindingFilter.ANY).values()));
        agree.put("create_acls", Topics.outcome(run.admin.createAcls(List.of(acl)).all()));
        agree.put("delete_acls",
                Topics.outcome(run.admin.deleteAcls(List.of(acl.toFilter())).all()));
        agree.putAll(principals(run));
        return agree;
    }

    /** Requests about quotas, delegation tokens and SCRAM credentials. */
    static Map<String, Object> principals(Run run) throws Exception {
        Map<String, Object> agree = new LinkedHashMap<>();
        agree.put("describe_quotas",
                Topics.outcome(run.admin.describeClientQuotas(ClientQuotaFilter.all()).entities()));
        ClientQuotaAlteration quota = new ClientQuotaAlteration(
                new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, run.name("client"))),
                List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e9)));
        agree.put("alter_quotas",
                Topics.outcome(run.admin.alterClientQuotas(List.of(quota)).all()));
        agree.put("create_token",
                Topics.outcome(run.admin.createDelegationToken().delegationToken()));
        agree.put("renew_token",
                Topics.outcome(run.admin.renewDelegationToken(new byte[4]).expiryTimestamp()));
        agree.put("expire_token",
                Topics.outcome(run.admin.expireDelegationToken(new byte[4]).expiryTimestamp()));
        agree.put("describe_tokens",
                Topics.outcome(run.admin.describeDelegationToken().delegationTokens()));
        agree.put("describe_scram",
                Topics.outcome(run.admin.describeUserScramCredentials().users()));
        agree.put("alter_scram", Topics.outcome(run.admin.alterUserScramCredentials(List.of(
                new UserScramCredentialUpsertion(run.name("user"),
                        new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096),
                        "conformance"))).all()));
        return agree;
    }
}
