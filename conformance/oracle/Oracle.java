import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.LinkedHashSet;
import java.util.Set;
import java.io.PrintStream;

import com.fasterxml.jackson.databind.JsonNode;

import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Writes every message of a client listener, at every version that this release's own generated
 * classes know, in several fillings: one line each of message, version, filling, bytes in hex, and
 * the JSON that Kafka's own converter makes of them, separated by tabs.
 *
 * What is printed has been read back by Kafka and written again with the same bytes.
 */
public final class Oracle {
    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (ApiMessageType type : ApiMessageType.values()) {
            // BROKER, and before 4.0 ZK_BROKER.
            if (type.listeners().stream().noneMatch(it -> it.name().endsWith("BROKER"))) {
                continue;
            }
            all(type.newRequest().getClass(), out);
            all(type.newResponse().getClass(), out);
        }
        out.flush();
    }

    private static void all(Class<? extends ApiMessage> message, PrintStream out)
            throws Exception {
        short first = message.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
        short last = message.getField("HIGHEST_SUPPORTED_VERSION").getShort(null);
        String name = message.getSimpleName().replaceAll("Data$", "");
        for (short version = first; version <= last; version++) {
            Set<String> known = new LinkedHashSet<>();
            for (Filler.Filling filling : Filler.Filling.values()) {
                String frame;
                try {
                    frame = frame(message, version, filling);
                } catch (Exception error) {
                    throw new Exception(name + " v" + version + " " + filling, error);
                }
                if (known.add(frame)) {
                    String label = filling.name().toLowerCase();
                    out.println(String.join("\t", name, "" + version, label, frame));
                }
            }
        }
    }

    private static String frame(Class<? extends ApiMessage> type, short version,
            Filler.Filling filling) throws Exception {
        ApiMessage message = new Filler(version, filling).fill(type);
        byte[] bytes = bytes(message, version);
        ApiMessage again = type.getConstructor().newInstance();
        again.read(new ByteBufferAccessor(ByteBuffer.wrap(bytes)), version);
        String hex = HexFormat.of().formatHex(bytes);
        if (!hex.equals(HexFormat.of().formatHex(bytes(again, version)))) {
            throw new IllegalStateException("reads back as something else");
        }
        Class<?> converter = Class.forName(type.getName() + "JsonConverter");
        Method write = converter.getMethod("write", type, short.class, boolean.class);
        JsonNode json = (JsonNode) write.invoke(null, again, version, false);
        return hex + "\t" + json;
    }

    private static byte[] bytes(ApiMessage message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) {
            throw new IllegalStateException("shorter than its own size");
        }
        return buffer.array();
    }
}
