import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;

/** Gives every partition of some topics three replicas among these brokers, and a new leader. */
final class Place {
    private static final int REPLICAS = 3;

    private Place() {}

    static void run(Run run, String topics, String brokers, int rounds) throws Exception {
        List<Integer> ids = new ArrayList<>();
        for (String id : brokers.split(",")) {
            ids.add(Integer.parseInt(id));
        }
        for (int round = 0; round < rounds; round++) {
            Map<TopicPartition, List<Integer>> places = places(run, topics, ids, round);
            Map<TopicPartition, Optional<NewPartitionReassignment>> moves = new HashMap<>();
            places.forEach((partition, replicas) ->
                    moves.put(partition, Optional.of(new NewPartitionReassignment(replicas))));
            Topics.get(run.admin.alterPartitionReassignments(moves).all());
            Reassignments.settle(run, places.keySet());
            lead(run, places);
        }
    }

    private static Map<TopicPartition, List<Integer>> places(Run run, String topics,
            List<Integer> ids, int round) throws Exception {
        List<String> names = Topics.get(run.admin.listTopics().names()).stream()
                .filter(it -> it.startsWith(topics)).toList();
        Map<TopicPartition, List<Integer>> places = new HashMap<>();
        for (TopicDescription topic : Topics.get(run.admin.describeTopics(names).allTopicNames())
                .values()) {
            topic.partitions().forEach(partition -> {
                List<Integer> replicas = new ArrayList<>();
                for (int i = 0; i < REPLICAS; i++) {
                    replicas.add(ids.get((partition.partition() + round + i) % ids.size()));
                }
                places.put(new TopicPartition(topic.name(), partition.partition()), replicas);
            });
        }
        return places;
    }

    /** Until the first replica of each leads: it may have to catch up before. */
    private static void lead(Run run, Map<TopicPartition, List<Integer>> places) throws Exception {
        Run.Deadline deadline = new Run.Deadline(Duration.ofSeconds(120), "leaders");
        while (!led(run, places)) {
            deadline.check(places);
            try {
                Topics.get(run.admin.electLeaders(ElectionType.PREFERRED, places.keySet()).all());
            } catch (ExecutionException failure) {
                // One that leads already needs no election, one that lags cannot have it yet.
                deadline.check(failure);
            }
            Thread.sleep(200);
        }
    }

    private static boolean led(Run run, Map<TopicPartition, List<Integer>> places)
            throws Exception {
        List<String> names = places.keySet().stream().map(TopicPartition::topic).distinct()
                .toList();
        Map<String, TopicDescription> found =
                Topics.get(run.admin.describeTopics(names).allTopicNames());
        return places.entrySet().stream().allMatch(place -> {
            TopicPartition partition = place.getKey();
            return found.get(partition.topic()).partitions().stream()
                    .anyMatch(it -> it.partition() == partition.partition() && it.leader() != null
                            && it.leader().id() == place.getValue().get(0));
        });
    }
}
