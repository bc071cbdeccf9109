import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;

/** What clients use TLS with, and what they say when it fails. */
final class Tls {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Tls() {}

    /** What the suite has given; nothing for plaintext. */
    static Map<String, Object> given() {
        String text = System.getenv("CONFORMANCE_TLS");
        return text == null ? Map.of() : config(read(text));
    }

    private static JsonNode read(String text) {
        try {
            return JSON.readTree(text);
        } catch (JsonProcessingException wrong) {
            throw new IllegalArgumentException(text, wrong);
        }
    }

    private static Map<String, Object> config(JsonNode tls) {
        Map<String, Object> config = new HashMap<>();
        config.put("security.protocol", "SSL");
        config.put("ssl.truststore.type", "PEM");
        config.put("ssl.truststore.location", tls.get("ca").asText());
        if (tls.has("both")) {
            config.put("ssl.keystore.type", "PEM");
            config.put("ssl.keystore.location", tls.get("both").asText());
        }
        return config;
    }

    /** The exception that each bad certificate ends in. */
    static Map<String, Object> badCertificates(Run run) throws Exception {
        Map<String, Object> failures = new TreeMap<>();
        JsonNode cases = read(System.getenv("CONFORMANCE_CASES"));
        for (Map.Entry<String, JsonNode> each : cases.properties()) {
            Map<String, Object> config = run.base(each.getKey());
            config.keySet().removeIf(it -> it.startsWith("ssl."));
            config.put("bootstrap.servers", each.getValue().get("bootstrap").asText());
            config.putAll(config(each.getValue().get("tls")));
            failures.put(each.getKey(), failure(config));
        }
        return failures;
    }

    private static String failure(Map<String, Object> config) throws Exception {
        try (Admin admin = Admin.create(config)) {
            admin.describeCluster().nodes().get(60, TimeUnit.SECONDS);
            throw new IllegalStateException("let in: " + config);
        } catch (ExecutionException failure) {
            Throwable cause = failure.getCause();
            Throwable root = cause;
            while (root.getCause() != null) {
                root = root.getCause();
            }
            System.err.println(cause + ": " + root);
            return cause.getClass().getSimpleName() + ": " + root.getClass().getSimpleName();
        }
    }
}
