package probe;

import java.lang.reflect.Array;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.compress.Compression;

/** Batches of records by Kafka's own classes, which moved to another package between releases. */
final class Records {
    /** Of long ago, and the same in every run. */
    private static final long TIME = 1_700_000_000_000L;

    private Records() {}

    /** As the versions of Produce want them: messages of the oldest form, the next, batches. */
    static Object forProduce(short version, String... values) throws Exception {
        byte magic = (byte) (version < 2 ? 0 : version == 2 ? 1 : 2);
        Object records = records(values);
        Method with = type("MemoryRecords").getMethod("withRecords", byte.class,
                Compression.class, records.getClass());
        return with.invoke(null, magic, Compression.NONE, records);
    }

    static Object idempotent(long producerId, short epoch, String... values) throws Exception {
        Object records = records(values);
        Method with = type("MemoryRecords").getMethod("withIdempotentRecords", Compression.class,
                long.class, short.class, int.class, records.getClass());
        return with.invoke(null, Compression.NONE, producerId, epoch, 0, records);
    }

    private static Object records(String... values) throws Exception {
        Class<?> type = type("SimpleRecord");
        Object array = Array.newInstance(type, values.length);
        var constructor = type.getConstructor(long.class, byte[].class, byte[].class);
        for (int i = 0; i < values.length; i++) {
            byte[] value = values[i].getBytes(StandardCharsets.UTF_8);
            byte[] key = ("key-" + i).getBytes(StandardCharsets.UTF_8);
            Array.set(array, i, constructor.newInstance(TIME + i, key, value));
        }
        return array;
    }

    private static Class<?> type(String name) throws ClassNotFoundException {
        String common = "org.apache.kafka.common.record.";
        try {
            return Class.forName(common + "internal." + name);
        } catch (ClassNotFoundException older) {
            return Class.forName(common + name);
        }
    }
}
