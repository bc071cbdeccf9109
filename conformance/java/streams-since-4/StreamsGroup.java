import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.StreamsGroupDescription;

/** The same with the broker's own assignment of tasks (KIP-1071). */
public final class StreamsGroup extends Streams {
    @Override
    String protocol() {
        return "streams";
    }

    @Override
    Object describe(Run run) throws Exception {
        String group = application(run);
        StreamsGroupDescription found = run.admin.describeStreamsGroups(List.of(group))
                .describedGroups().get(group).get(60, TimeUnit.SECONDS);
        Map<String, Object> described = new LinkedHashMap<>();
        described.put("members", found.members().size());
        described.put("subtopologies", found.subtopologies().size());
        return described;
    }
}
