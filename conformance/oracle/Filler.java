import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;

/** Fills one message, at one version, with values that are all different. */
final class Filler {
    enum Filling {
        /** As the class is made: arrays are empty. */
        DEFAULTS,
        /** Null where that is legal, one element in every array, negative numbers. */
        NULLS,
        /** Two elements in every array, unknown tagged fields in every structure. */
        FILLED,
        /** Strings, bytes and arrays whose length needs two bytes as a varint, large numbers. */
        LONG,
    }

    private static final int LONG_LEN = 130;

    private final short version;
    private final Filling filling;
    private int count = 0;
    private boolean longString = false;
    private boolean longBytes = false;
    private boolean longArray = false;

    Filler(short version, Filling filling) {
        this.version = version;
        this.filling = filling;
    }

    ApiMessage fill(Class<? extends ApiMessage> type) throws Exception {
        ApiMessage message = type.getConstructor().newInstance();
        if (filling != Filling.DEFAULTS) {
            Schema[] schemas = (Schema[]) type.getField("SCHEMAS").get(null);
            structure(message, schemas[version]);
        }
        return message;
    }

    private void structure(Object target, Schema schema) throws Exception {
        for (BoundField bound : schema.fields()) {
            if (bound.def.type instanceof TaggedFields) {
                for (Object field : tagged((TaggedFields) bound.def.type).values()) {
                    var tag = (org.apache.kafka.common.protocol.types.Field) field;
                    set(target, tag.name, tag.type);
                }
                if (filling == Filling.FILLED) {
                    List<RawTaggedField> unknown = ((Message) target).unknownTaggedFields();
                    unknown.add(new RawTaggedField(100, new byte[] {1, 2, 3}));
                    unknown.add(new RawTaggedField(70000 + ++count, new byte[0]));
                }
            } else {
                set(target, bound.def.name, bound.def.type);
            }
        }
    }

    private void set(Object target, String name, Type type) throws Exception {
        Field field = field(target.getClass(), name);
        if (filling == Filling.NULLS && type.isNullable()) {
            field.set(target, null);
            return;
        }
        field.set(target, value(type, field));
    }

    private Object value(Type type, Field field) throws Exception {
        if (type instanceof Schema) {
            return element((Schema) type, field.getType());
        }
        if (type.arrayElementType().isPresent()) {
            return array(type.arrayElementType().get(), field);
        }
        if (field.getType() == ByteBuffer.class) {
            return ByteBuffer.wrap(bytes());
        }
        return scalar(type);
    }

    private Object element(Schema schema, Class<?> type) throws Exception {
        Constructor<?> constructor = type.getDeclaredConstructor();
        constructor.setAccessible(true);
        Object inner = constructor.newInstance();
        structure(inner, schema);
        return inner;
    }

    @SuppressWarnings("unchecked")
    private Object array(Type type, Field field) throws Exception {
        var generic = field.getType() == List.class
            ? field.getGenericType()
            : field.getType().getGenericSuperclass();
        var inner = (Class<?>) ((ParameterizedType) generic).getActualTypeArguments()[0];
        Collection<Object> array = field.getType() == List.class
            ? new ArrayList<>()
            : (Collection<Object>) field.getType().getConstructor().newInstance();
        boolean structures = type instanceof Schema;
        int size = filling == Filling.FILLED ? 2 : 1;
        if (filling == Filling.LONG && !structures && !longArray) {
            size = LONG_LEN;
            longArray = true;
        }
        for (int i = 0; i < size; i++) {
            array.add(structures ? element((Schema) type, inner) : scalar(type));
        }
        return array;
    }

    private Object scalar(Type type) throws Exception {
        count++;
        int sign = filling == Filling.NULLS ? -1 : 1;
        boolean large = filling == Filling.LONG;
        switch (type.toString()) {
            case "BOOLEAN": return count % 2 == 0;
            case "INT8": return (byte) (sign * (large ? Byte.MAX_VALUE : count % 100));
            case "INT16": return (short) (sign * (large ? Short.MAX_VALUE : count));
            case "UINT16": return large ? 0xffff : count;
            case "INT32": return sign * (large ? Integer.MAX_VALUE : count);
            case "UINT32": return large ? 0xffffffffL : (long) count;
            case "INT64": return sign * (large ? Long.MAX_VALUE : (long) count);
            case "FLOAT64": return sign * (count + 0.5);
            case "UUID": return new Uuid(0x0123456789abcdefL * count, ~count);
            case "RECORDS":
            case "COMPACT_RECORDS":
            case "NULLABLE_RECORDS":
            case "COMPACT_NULLABLE_RECORDS": return records(bytes());
            case "BYTES":
            case "COMPACT_BYTES":
            case "NULLABLE_BYTES":
            case "COMPACT_NULLABLE_BYTES": return bytes();
            case "STRING":
            case "COMPACT_STRING":
            case "NULLABLE_STRING":
            case "COMPACT_NULLABLE_STRING": return string();
            default: throw new IllegalArgumentException("unknown type " + type);
        }
    }

    private String string() {
        if (filling == Filling.LONG && !longString) {
            longString = true;
            return "x".repeat(LONG_LEN);
        }
        return filling == Filling.FILLED ? "ü" + count : "s" + count;
    }

    private byte[] bytes() {
        int size = filling == Filling.LONG && !longBytes ? LONG_LEN : 3;
        longBytes |= filling == Filling.LONG;
        byte[] bytes = new byte[size];
        Arrays.fill(bytes, (byte) count);
        return bytes;
    }

    /** Record batches of any content; their class moved between releases. */
    private static Object records(byte[] bytes) throws Exception {
        String common = "org.apache.kafka.common.record.";
        Class<?> type;
        try {
            type = Class.forName(common + "internal.MemoryRecords");
        } catch (ClassNotFoundException older) {
            type = Class.forName(common + "MemoryRecords");
        }
        return type.getMethod("readableRecords", ByteBuffer.class)
            .invoke(null, ByteBuffer.wrap(bytes));
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

    private static Map<?, ?> tagged(TaggedFields type) throws Exception {
        // Public since 4.x only.
        Field fields = TaggedFields.class.getDeclaredField("fields");
        fields.setAccessible(true);
        return (Map<?, ?>) fields.get(type);
    }
}
