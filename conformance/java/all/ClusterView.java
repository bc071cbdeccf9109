import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.config.ConfigResource;

/** The responses that have addresses of the cluster in them: nodes, broker configs, the quorum. */
final class ClusterView {
    /** Broker settings that name addresses: their values differ on every way to the cluster. */
    private static final Set<String> ADDRESSES = Set.of("listeners", "advertised.listeners",
            "controller.quorum.voters", "controller.quorum.bootstrap.servers");

    private ClusterView() {}

    static Map<String, Object> run(Run run) throws Exception {
        Map<String, Object> agree = new LinkedHashMap<>();
        DescribeClusterResult cluster = run.admin.describeCluster();
        Set<Integer> ids = new TreeSet<>();
        for (Node node : Topics.get(cluster.nodes())) {
            ids.add(node.id());
        }
        agree.put("nodes", ids);
        agree.put("cluster_id", Topics.get(cluster.clusterId()));
        Run.check(ids.contains(Topics.get(cluster.controller()).id()), "an unknown controller");
        agree.put("configs", configs(run, ids));
        QuorumInfo quorum = Topics.get(run.admin.describeMetadataQuorum().quorumInfo());
        Set<Integer> voters = new TreeSet<>();
        quorum.voters().forEach(voter -> voters.add(voter.replicaId()));
        agree.put("voters", voters);
        Run.check(voters.contains(quorum.leaderId()), "an unknown leader of the quorum");
        FeatureMetadata features = Topics.get(run.admin.describeFeatures().featureMetadata());
        agree.put("features", new TreeMap<>(features.finalizedFeatures()).toString());
        Map<Integer, Integer> logDirs = new TreeMap<>();
        Topics.get(run.admin.describeLogDirs(ids).allDescriptions())
                .forEach((id, dirs) -> logDirs.put(id, dirs.size()));
        agree.put("log_dirs", logDirs);
        return agree;
    }

    private static String configs(Run run, Set<Integer> ids) throws Exception {
        List<ConfigResource> brokers = new ArrayList<>();
        ids.forEach(id -> brokers.add(
                new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(id))));
        Map<ConfigResource, Config> configs = Topics.get(run.admin.describeConfigs(brokers).all());
        Set<String> names = new TreeSet<>();
        for (Map.Entry<ConfigResource, Config> entry : configs.entrySet()) {
            Run.checkEqual(entry.getKey().name(), entry.getValue().get("node.id").value(),
                    "node.id");
            entry.getValue().entries().forEach(config -> names.add(config.name()));
        }
        Run.check(names.contains("advertised.listeners"), "no advertised.listeners in " + names);
        names.removeAll(ADDRESSES);
        return brokers.size() + " brokers, " + names.size() + " names";
    }
}
