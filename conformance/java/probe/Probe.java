package probe;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.message.ApiMessageType;

/**
 * Asks every API at every version, direct and through doorkeeper:
 * {@code probe.Probe DIRECT BEHIND CLIENT_ID}, both addresses leading to the same broker.
 *
 * <p>Prints one line of JSON a case, with both responses as bytes and as Kafka's own classes read
 * them. It compares nothing: the suite does.
 */
public final class Probe {
    /** What a case claims of its responses; the suite checks the direct one. */
    enum Claim {
        /** No error code anywhere. */
        OK,
        /** Some error code, or the connection closes. */
        ERROR,
        /** Nothing. */
        ANY,
    }

    /** The values of a request, for a way and a version. */
    interface Request {
        Map<String, Object> of(Way way, short version) throws Exception;
    }

    /** Takes what later requests need out of a response. */
    interface Keep {
        void from(Way way, Way.Response response);
    }

    /** A chapter: cases that belong together. */
    interface Chapter {
        void run(Probe probe) throws Exception;
    }

    private static final int TRIES = 200;
    private static final int BETWEEN_TRIES_MS = 25;
    /** A coordinator that loads, moves or ends a transaction: the request is sent again. */
    private static final List<Integer> PASSING = List.of(14, 15, 51);

    final Way direct;
    final Way behind;
    final List<Way> ways;
    final Map<Short, short[]> advertised = new TreeMap<>();
    final Map<Short, short[]> offered = new TreeMap<>();
    private final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private Probe(Way direct, Way behind) {
        this.direct = direct;
        this.behind = behind;
        this.ways = List.of(direct, behind);
    }

    public static void main(String[] args) throws Exception {
        try (Wire one = new Wire(args[0], args[2]); Wire other = new Wire(args[1], args[2])) {
            Probe probe = new Probe(new Way("direct", one), new Way("behind", other));
            Negotiation.learn(probe);
            var chapters = new LinkedHashMap<String, Chapter>();
            chapters.put("setup", Setup::run);
            chapters.put("negotiation", Negotiation::run);
            chapters.put("data", Data::run);
            chapters.put("cluster", ClusterCases::run);
            chapters.put("topics", TopicCases::run);
            chapters.put("configs", ConfigCases::run);
            chapters.put("classic groups", ClassicGroups::run);
            chapters.put("offsets", Offsets::run);
            chapters.put("modern groups", ModernGroups::run);
            chapters.put("share groups", ShareGroups::run);
            chapters.put("streams groups", StreamsGroups::run);
            chapters.put("transactions", Transactions::run);
            chapters.put("defaults", Defaults::run);
            chapters.put("not forwarded", NotForwarded::run);
            for (var chapter : chapters.entrySet()) {
                probe.chapter(chapter.getKey(), chapter.getValue());
            }
        }
        Runtime.getRuntime().halt(0);
    }

    private void chapter(String name, Chapter chapter) {
        long begun = System.nanoTime();
        try {
            chapter.run(this);
        } catch (Exception error) {
            error.printStackTrace();
            print(object().put("failure", name + ": " + error));
        }
        System.err.println(name + ": " + (System.nanoTime() - begun) / 1_000_000 + " ms");
    }

    /** The versions that both sides have, of an API that may have another name in older jars. */
    List<Short> versions(String api) {
        List<Short> versions = new ArrayList<>();
        ApiMessageType type = type(api);
        if (type == null) {
            return versions;
        }
        short[] theirs = advertised.get(type.apiKey());
        short[] ours = offered.get(type.apiKey());
        if (theirs == null || ours == null) {
            return versions;
        }
        int first = Math.max(Math.max(theirs[0], ours[0]), type.lowestSupportedVersion());
        int last = Math.min(Math.min(theirs[1], ours[1]), type.highestSupportedVersion(true));
        for (int version = first; version <= last; version++) {
            versions.add((short) version);
        }
        return versions;
    }

    boolean has(String api) {
        return !versions(api).isEmpty();
    }

    short newest(String api) {
        List<Short> versions = versions(api);
        if (versions.isEmpty()) {
            throw new IllegalStateException("nobody offers " + api);
        }
        return versions.get(versions.size() - 1);
    }

    static ApiMessageType type(String api) {
        String old = api.equals("ListConfigResources") ? "ListClientMetricsResources" : api;
        for (ApiMessageType type : ApiMessageType.values()) {
            if (type.name.equals(api) || type.name.equals(old)) {
                return type;
            }
        }
        return null;
    }

    /** One case at each version. */
    void each(String api, String label, Claim claim, Request request) throws Exception {
        since(0, api, label, claim, request);
    }

    /** One case at each version from {@code first} on. */
    void since(int first, String api, String label, Claim claim, Request request)
            throws Exception {
        for (short version : versions(api)) {
            if (version >= first) {
                step(api, version, label, claim, request, (way, response) -> { });
            }
        }
    }

    /** One case at one version: sent on both ways and printed as one line. */
    void step(String api, short version, String label, Claim claim, Request request, Keep keep)
            throws Exception {
        ApiMessageType type = type(api);
        ObjectNode line = describe(type, version, label);
        line.put("claim", claim.name().toLowerCase());
        for (Way way : ways) {
            Way.Response response = way.call(type, version, request.of(way, version));
            for (int i = 0; claim == Claim.OK && isPassing(response) && i < TRIES; i++) {
                Thread.sleep(BETWEEN_TRIES_MS);
                response = way.call(type, version, request.of(way, version));
            }
            line.set(way.name, response.line());
            keep.from(way, response);
        }
        print(line);
    }

    /** A call that is no case, at the newest version, repeated until its response is as wanted. */
    JsonNode prepare(Way way, String api, Map<String, Object> values,
            java.util.function.Predicate<JsonNode> isDone) throws Exception {
        short version = newest(api);
        Way.Response response = null;
        for (int i = 0; i < TRIES; i++) {
            response = way.call(type(api), version, values);
            if (!response.isClosed() && isDone.test(response.json)) {
                return response.json;
            }
            Thread.sleep(BETWEEN_TRIES_MS);
        }
        Object last = response.isClosed() ? "a closed connection" : response.json;
        throw new IllegalStateException(api + " v" + version + " stays at " + last);
    }

    /** The same until no error code is left in it. */
    JsonNode prepare(Way way, String api, Map<String, Object> values) throws Exception {
        return prepare(way, api, values, json -> errors(json).isEmpty());
    }

    private static boolean isPassing(Way.Response response) {
        return !response.isClosed() && errors(response.json).stream().anyMatch(PASSING::contains);
    }

    static List<Integer> errors(JsonNode json) {
        List<Integer> errors = new ArrayList<>();
        for (JsonNode code : json.findValues("errorCode")) {
            if (code.asInt() != 0) {
                errors.add(code.asInt());
            }
        }
        return errors;
    }

    static ObjectNode object() {
        return JsonNodeFactory.instance.objectNode();
    }

    static ObjectNode describe(ApiMessageType type, short version, String label) {
        return object().put("api", type.name).put("key", type.apiKey())
                .put("version", version).put("case", label);
    }

    void print(ObjectNode line) {
        out.println(line);
        out.flush();
    }

    /** Keys and values by turns; values may be null. */
    static Map<String, Object> m(Object... pairs) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            map.put((String) pairs[i], pairs[i + 1]);
        }
        return map;
    }

    static List<Object> a(Object... values) {
        return List.of(values);
    }
}
