import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.ApiKeys;

/** Uses what most programs use, where nobody answers: its classes make an archive. */
public final class Warm {
    private static final Duration SHORT = Duration.ofMillis(200);

    private Warm() {}

    public static void main(String[] args) throws Exception {
        for (ApiKeys api : ApiKeys.clientApis()) {
            api.messageType.newRequest();
            api.messageType.newResponse();
        }
        try (Run run = new Run(args[0], "warm")) {
            KafkaProducer<byte[], byte[]> producer = run.producer("producer",
                    Map.of("max.block.ms", String.valueOf(SHORT.toMillis())));
            producer.send(new ProducerRecord<>("topic", new byte[1]));
            KafkaConsumer<byte[], byte[]> consumer =
                    run.consumer("consumer", Map.of("group.id", "group"));
            consumer.assign(List.of(new TopicPartition("topic", 0)));
            consumer.poll(SHORT);
            ListTopicsOptions options =
                    new ListTopicsOptions().timeoutMs((int) SHORT.toMillis());
            run.admin.listTopics(options).names().whenComplete((names, failure) -> { })
                    .toCompletionStage().exceptionally(failure -> null).toCompletableFuture()
                    .get(10, TimeUnit.SECONDS);
        }
    }
}
