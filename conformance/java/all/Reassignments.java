import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;

/** Replicas move to other brokers, leaders are elected, and clients see it. */
final class Reassignments {
    private Reassignments() {}

    static Map<String, Object> run(Run run) throws Exception {
        String topic = run.name("moved");
        TopicPartition partition = new TopicPartition(topic, 0);
        NewTopic wanted = new NewTopic(topic, Map.of(0, List.of(1, 2)));
        Topics.get(run.admin.createTopics(List.of(wanted)).all());
        Map<String, Object> agree = new LinkedHashMap<>();
        move(run, partition, List.of(2, 3));
        agree.put("moved", replicas(run, topic, List.of(2, 3)));
        move(run, partition, List.of(3, 2));
        replicas(run, topic, List.of(3, 2));
        agree.put("elected", elect(run, partition));
        agree.put("leader", leader(run, topic, 3));
        agree.put("not_needed", elect(run, partition));
        agree.put("nothing_to_cancel", Topics.error(NoReassignmentInProgressException.class,
                run.admin.alterPartitionReassignments(
                        Map.of(partition, Optional.empty())).all()));
        TopicPartitionReplica replica = new TopicPartitionReplica(topic, 0, 3);
        String folder = Topics.get(run.admin.describeReplicaLogDirs(List.of(replica)).all())
                .get(replica).getCurrentReplicaLogDir();
        agree.put("log_dir", folder.substring(folder.lastIndexOf('/') + 1));
        Topics.get(run.admin.deleteTopics(List.of(topic)).all());
        return agree;
    }

    static void move(Run run, TopicPartition partition, List<Integer> replicas) throws Exception {
        Topics.get(run.admin.alterPartitionReassignments(Map.of(partition,
                Optional.of(new NewPartitionReassignment(replicas)))).all());
        settle(run, Set.of(partition));
    }

    /** Until none of them is on its way any more. */
    static void settle(Run run, Set<TopicPartition> partitions) throws Exception {
        Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(120), "a reassignment");
        while (!Topics.get(run.admin.listPartitionReassignments(partitions).reassignments())
                .isEmpty()) {
            deadline.check(partitions);
            Thread.sleep(100);
        }
    }

    /** Returns the replicas once every broker can know them. */
    private static List<Integer> replicas(Run run, String topic, List<Integer> expected)
            throws Exception {
        Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(60), "replicas of " + topic);
        while (true) {
            TopicDescription found = Topics.await(run, topic, 1);
            List<Integer> ids =
                    found.partitions().get(0).replicas().stream().map(Node::id).toList();
            if (ids.equals(expected)) {
                return ids;
            }
            deadline.check(ids);
        }
    }

    private static int leader(Run run, String topic, int expected) throws Exception {
        Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(60), "leader of " + topic);
        while (true) {
            int leader = Topics.await(run, topic, 1).partitions().get(0).leader().id();
            if (leader == expected) {
                return leader;
            }
            deadline.check(leader);
        }
    }

    private static String elect(Run run, TopicPartition partition) throws Exception {
        Optional<Throwable> error = Topics.get(run.admin.electLeaders(ElectionType.PREFERRED,
                Set.of(partition)).partitions()).get(partition);
        if (error.isEmpty()) {
            return "elected";
        }
        Run.check(error.get() instanceof ElectionNotNeededException, error.get().toString());
        return "not needed";
    }
}
