package probe;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;

/** One way to the cluster: direct to a broker, or to the same broker through doorkeeper. */
final class Way {
    final String name;
    final Wire wire;
    /** What earlier responses on this way said: ids of members, producers and sessions. */
    final Map<String, Object> kept = new HashMap<>();

    Way(String name, Wire wire) {
        this.name = name;
        this.wire = wire;
    }

    /**
     * The name of something that this way changes. The suite takes the part that differs out
     * before it compares: this word, and the number behind it.
     */
    String own(String what) {
        return own("000", what);
    }

    /** With a number of three digits. */
    String own(String number, String what) {
        return "every-api-way_" + name + "_" + number + "-" + what;
    }

    /** A response and what Kafka's classes read in it. */
    static final class Response {
        /** Null when the connection was closed. */
        final byte[] bytes;
        /** Null when the connection was closed. */
        final JsonNode json;
        /** How long it took to come. */
        final long ms;

        Response(byte[] bytes, JsonNode json, long ms) {
            this.bytes = bytes;
            this.json = json;
            this.ms = ms;
        }

        boolean isClosed() {
            return bytes == null;
        }

        JsonNode at(String pointer) {
            return isClosed() ? JsonNodeFactory.instance.missingNode() : json.at(pointer);
        }

        ObjectNode line() {
            ObjectNode line = JsonNodeFactory.instance.objectNode();
            line.put("closed", isClosed());
            line.put("ms", ms);
            if (!isClosed()) {
                line.put("hex", HexFormat.of().formatHex(bytes));
                line.set("json", json);
            }
            return line;
        }
    }

    Response call(ApiMessageType api, short version, Map<String, Object> values) throws Exception {
        ApiMessage request = Messages.build(api.newRequest().getClass(), version, values);
        return call(api, version, version, Messages.write(request, version));
    }

    /** With any bytes as its body; the response is read as one to {@code readAs}. */
    Response call(ApiMessageType api, short version, short readAs, ByteBuffer body)
            throws Exception {
        short header = api.requestHeaderVersion(version);
        long begun = System.nanoTime();
        byte[] bytes = wire.call(api.apiKey(), version, header, body);
        long ms = (System.nanoTime() - begun) / 1_000_000;
        if (bytes == null) {
            return new Response(null, null, ms);
        }
        ByteBuffer rest = Wire.body(bytes, api.responseHeaderVersion(readAs));
        ApiMessage response = api.newResponse();
        response.read(new ByteBufferAccessor(rest), readAs);
        JsonNode json = Messages.json(response, readAs);
        if (rest.hasRemaining()) {
            ((ObjectNode) json).put("bytesBehindTheBody", rest.remaining());
        }
        return new Response(bytes, json, ms);
    }

    void keep(String name, Object value) {
        kept.put(name, value);
    }

    Object kept(String name) {
        return kept.get(name);
    }

    static Uuid uuid(JsonNode text) {
        return Uuid.fromString(text.asText());
    }
}
