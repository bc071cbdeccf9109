package probe;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;

/** Kafka's own message classes, of whichever release is on the class path. */
final class Messages {
    private Messages() {}

    /**
     * A message with these values; everything else has the default of its class.
     *
     * <p>A value whose field this version has not got is left out, so that one table of values
     * serves all versions. A key that no version has is a mistake, unless it begins with a
     * question mark: such fields are younger, or older, than some releases.
     */
    static ApiMessage build(Class<? extends ApiMessage> type, short version,
            Map<String, Object> values) throws Exception {
        ApiMessage message = type.getConstructor().newInstance();
        structure(message, schemas(type)[version], values);
        return message;
    }

    static ByteBuffer write(ApiMessage message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        return buffer.flip();
    }

    /** What Kafka's own converter makes of it, records included. */
    static JsonNode json(ApiMessage message, short version) throws Exception {
        Class<?> type = message.getClass();
        Class<?> converter = Class.forName(type.getName() + "JsonConverter");
        return (JsonNode) converter.getMethod("write", type, short.class, boolean.class)
                .invoke(null, message, version, true);
    }

    private static Schema[] schemas(Class<?> type) throws Exception {
        return (Schema[]) type.getField("SCHEMAS").get(null);
    }

    private static void structure(Object target, Schema schema, Map<String, Object> values)
            throws Exception {
        Set<String> known = new HashSet<>();
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields tagged) {
                for (Object entry : taggedFields(tagged).values()) {
                    var field = (org.apache.kafka.common.protocol.types.Field) entry;
                    set(target, field.name, field.type, values);
                }
            } else {
                set(target, bound.def.name, bound.def.type, values);
            }
        }
        for (Field field : target.getClass().getDeclaredFields()) {
            known.add(field.getName());
        }
        for (String key : values.keySet()) {
            if (!key.startsWith("?") && !known.contains(key)) {
                throw new IllegalArgumentException(target.getClass() + " has no " + key);
            }
        }
    }

    private static void set(Object target, String name, Type type, Map<String, Object> values)
            throws Exception {
        Field field = field(target.getClass(), name);
        for (String key : List.of(field.getName(), "?" + field.getName())) {
            if (values.containsKey(key)) {
                Object value = values.get(key);
                field.set(target, value == null ? null : value(type, field, value));
            }
        }
    }

    @SuppressWarnings("unchecked")
    private static Object value(Type type, Field field, Object value) throws Exception {
        if (type instanceof Schema schema) {
            return element(schema, field.getType(), (Map<String, Object>) value);
        }
        if (type.arrayElementType().isPresent()) {
            return array(type.arrayElementType().get(), field, (List<Object>) value);
        }
        if (field.getType() == ByteBuffer.class) {
            return ByteBuffer.wrap((byte[]) value);
        }
        return scalar(type, value);
    }

    private static Object element(Schema schema, Class<?> type, Map<String, Object> values)
            throws Exception {
        Constructor<?> constructor = type.getDeclaredConstructor();
        constructor.setAccessible(true);
        Object inner = constructor.newInstance();
        structure(inner, schema, values);
        return inner;
    }

    @SuppressWarnings("unchecked")
    private static Object array(Type type, Field field, List<Object> values) throws Exception {
        boolean plain = field.getType() == List.class;
        var generic = plain ? field.getGenericType() : field.getType().getGenericSuperclass();
        var inner = (Class<?>) ((ParameterizedType) generic).getActualTypeArguments()[0];
        Collection<Object> array = plain
                ? new ArrayList<>()
                : (Collection<Object>) field.getType().getConstructor().newInstance();
        for (Object value : values) {
            array.add(type instanceof Schema schema
                    ? element(schema, inner, (Map<String, Object>) value)
                    : scalar(type, value));
        }
        return array;
    }

    private static Object scalar(Type type, Object value) {
        switch (type.toString()) {
            case "INT8": return ((Number) value).byteValue();
            case "INT16": return ((Number) value).shortValue();
            case "UINT16":
            case "INT32": return ((Number) value).intValue();
            case "UINT32":
            case "INT64": return ((Number) value).longValue();
            case "FLOAT64": return ((Number) value).doubleValue();
            // Text, bytes, records, ids and truth come as they are.
            default: return value;
        }
    }

    /** The field of a message class whose name in the schema is this. */
    private static Field field(Class<?> type, String name) {
        String plain = name.replace("_", "");
        for (Field field : type.getDeclaredFields()) {
            if (field.getName().equalsIgnoreCase(plain)) {
                field.setAccessible(true);
                return field;
            }
        }
        throw new IllegalArgumentException(type + " has no field " + name);
    }

    private static Map<?, ?> taggedFields(TaggedFields type) throws Exception {
        // Public since 4.x only.
        Field fields = TaggedFields.class.getDeclaredField("fields");
        fields.setAccessible(true);
        return (Map<?, ?>) fields.get(type);
    }
}
