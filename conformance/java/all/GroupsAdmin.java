import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;

/** Groups are listed and described, their offsets set, removed and looked up, and they go. */
final class GroupsAdmin {
    private GroupsAdmin() {}

    static Map<String, Object> run(Run run) throws Exception {
        String topic = run.topic("records");
        List<String> groups = List.of(run.name("one"), run.name("two"), run.name("three"));
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition partition : Records.partitions(topic, Run.PARTITIONS)) {
            offsets.put(partition, new OffsetAndMetadata(partition.partition() + 5L, "a note"));
        }
        for (String group : groups) {
            Topics.get(run.admin.alterConsumerGroupOffsets(group, offsets).all());
        }
        Map<String, Object> agree = new LinkedHashMap<>();
        agree.put("listed", listed(run, groups));
        Map<String, String> states = new TreeMap<>();
        Topics.get(run.admin.describeConsumerGroups(groups).all()).forEach((group, it) ->
                states.put(group.substring(run.prefix.length()), it.isSimpleConsumerGroup() + " "
                        + it.members().size()));
        agree.put("described", states);
        Run.checkEqual(offsets, offsets(run, groups.get(0)), "offsets");
        TopicPartition gone = new TopicPartition(topic, 1);
        Topics.get(run.admin.deleteConsumerGroupOffsets(groups.get(0), Set.of(gone)).all());
        agree.put("offsets_left", offsets(run, groups.get(0)).keySet().stream()
                .map(TopicPartition::partition).sorted().toList());
        Topics.get(run.admin.deleteConsumerGroups(groups).all());
        agree.put("left", listed(run, groups));
        agree.put("missing", Topics.error(GroupIdNotFoundException.class,
                run.admin.deleteConsumerGroups(groups.subList(0, 1)).all()));
        agree.put("missing_described", missing(run, groups.get(0)));
        return agree;
    }

    private static Map<TopicPartition, OffsetAndMetadata> offsets(Run run, String group)
            throws Exception {
        Map<TopicPartition, OffsetAndMetadata> found = new HashMap<>(Topics.get(
                run.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()));
        found.values().removeIf(it -> it == null);
        return found;
    }

    // What came in its place is not in 3.9.
    @SuppressWarnings({"deprecation", "removal"})
    private static long listed(Run run, List<String> groups) throws Exception {
        return Topics.get(run.admin.listConsumerGroups().all()).stream()
                .map(it -> it.groupId()).filter(groups::contains).count();
    }

    /** An error since 4.0, a dead group before. */
    @SuppressWarnings({"deprecation", "removal"})
    private static String missing(Run run, String group) throws Exception {
        try {
            return Topics.get(run.admin.describeConsumerGroups(List.of(group)).all())
                    .get(group).state().toString();
        } catch (ExecutionException failure) {
            return failure.getCause().getClass().getSimpleName();
        }
    }
}
