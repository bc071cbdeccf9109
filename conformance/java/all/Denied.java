import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.RaftVoterEndpoint;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ClusterAuthorizationException;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Requests that act on the cluster itself, sent by a client without the right to. */
final class Denied {
    private static final String CLUSTER = "kafka-cluster";

    private Denied() {}

    static Map<String, Object> run(Run run) throws Exception {
        String topic = run.topicOfOne("topic");
        TopicPartition partition = new TopicPartition(topic, 0);
        Map<String, Object> agree = new LinkedHashMap<>();
        agree.put("reassign", Topics.outcome(run.admin.alterPartitionReassignments(Map.of(partition,
                Optional.of(new NewPartitionReassignment(List.of(1))))).all()));
        agree.put("elect", Topics.outcome(run.admin.electLeaders(ElectionType.PREFERRED,
                Set.of(partition)).all()));
        agree.put("elect_all",
                Topics.outcome(run.admin.electLeaders(ElectionType.PREFERRED, null).all()));
        agree.put("alter_log_dirs", Topics.outcome(run.admin.alterReplicaLogDirs(Map.of(
                new TopicPartitionReplica(topic, 0, 1), "/nowhere")).all()));
        agree.put("abort_transaction", Topics.outcome(run.admin.abortTransaction(
                new AbortTransactionSpec(partition, 1, (short) 0, 0)).all()));
        agree.put("update_features", Topics.outcome(run.admin.updateFeatures(
                Map.of("metadata.version",
                        new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UNSAFE_DOWNGRADE)),
                new UpdateFeaturesOptions()).all()));
        agree.put("unregister", Topics.outcome(run.admin.unregisterBroker(77).all()));
        agree.put("add_voter", Topics.outcome(run.admin.addRaftVoter(77, Uuid.randomUuid(),
                Set.of(new RaftVoterEndpoint("CONTROLLER", "localhost", 1))).all()));
        agree.put("remove_voter",
                Topics.outcome(run.admin.removeRaftVoter(77, Uuid.randomUuid()).all()));
        configs(run, agree);
        agree.putAll(DeniedPrincipals.principals(run));
        agree.forEach((what, outcome) ->
                Run.check(outcome.equals(expected(what)), what + ": " + outcome));
        return agree;
    }

    /** The configuration of one broker, of all brokers, and of what a broker logs. */
    private static void configs(Run run, Map<String, Object> agree) throws Exception {
        agree.put("alter_broker", Topics.outcome(alter(run, ConfigResource.Type.BROKER, "1",
                "log.cleaner.threads", "2")));
        agree.put("alter_brokers", Topics.outcome(alter(run, ConfigResource.Type.BROKER, "",
                "log.cleaner.threads", "2")));
        agree.put("alter_logger", Topics.outcome(alter(run, ConfigResource.Type.BROKER_LOGGER, "1",
                "kafka.server.KafkaApis", "INFO")));
    }

    private static KafkaFuture<Void> alter(Run run, ConfigResource.Type type, String name,
            String key, String value) {
        AlterConfigOp set =
                new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        return run.admin.incrementalAlterConfigs(
                Map.of(new ConfigResource(type, name), List.of(set))).all();
    }

    /** A client without a login cannot have a token, whatever an authorizer says. */
    private static String expected(String what) {
        return what.endsWith("_token") || what.endsWith("_tokens")
                ? "UnsupportedByAuthenticationException"
                : ClusterAuthorizationException.class.getSimpleName();
    }

    /**
     * The suite's own change, direct: an ACL that allows the cluster to another principal only.
     * Waits until it is in effect.
     */
    static void leaveClusterToOthers(Run run) throws Exception {
        AclBinding acl = new AclBinding(
                new ResourcePattern(ResourceType.CLUSTER, CLUSTER, PatternType.LITERAL),
                new AccessControlEntry(
                        "User:somebody", "*", AclOperation.ALL, AclPermissionType.ALLOW));
        Topics.get(run.admin.createAcls(List.of(acl)).all());
        Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(60), "an ACL in effect");
        while (Topics.outcome(run.admin.describeUserScramCredentials().all()).equals("ok")) {
            deadline.check(acl);
            Thread.sleep(50);
        }
    }
}
