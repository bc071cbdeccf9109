package probe;

import static probe.Probe.a;
import static probe.Probe.m;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import probe.Probe.Claim;

/** Producer ids, and transactions of one producer each. */
final class Transactions {
    private static final Probe.Keep NOTHING = (way, response) -> { };

    private Transactions() {}

    static void run(Probe probe) throws Exception {
        probe.each("InitProducerId", "idempotent", Claim.OK, (way, version) ->
                m("transactionalId", null, "transactionTimeoutMs", 60_000));
        probe.each("InitProducerId", "transactional", Claim.OK, (way, version) ->
                m("transactionalId", Setup.transaction(way, "init-v" + version),
                        "transactionTimeoutMs", 60_000));
        probe.each("InitProducerId", "too long a time", Claim.ERROR, (way, version) ->
                m("transactionalId", Setup.transaction(way, "init"),
                        "transactionTimeoutMs", Integer.MAX_VALUE));
        for (short version : probe.versions("AddPartitionsToTxn")) {
            String id = "add-v" + version;
            begin(probe, id);
            probe.step("AddPartitionsToTxn", version, "one", Claim.OK, (way, it) ->
                    add(way, id, producerId(way, id)), NOTHING);
            probe.step("AddPartitionsToTxn", version, "another's id", Claim.ERROR, (way, it) ->
                    add(way, id, 1L << 40), NOTHING);
            end(probe, id);
        }
        offsets(probe);
        for (short version : probe.versions("EndTxn")) {
            String id = "end-v" + version;
            begin(probe, id);
            for (Way way : probe.ways) {
                addOne(probe, way, id);
            }
            probe.step("EndTxn", version, "another's id", Claim.ERROR, (way, it) ->
                    end(way, id, 1L << 40), NOTHING);
            probe.step("EndTxn", version, "commit", Claim.OK, (way, it) ->
                    end(way, id, producerId(way, id)), NOTHING);
        }
        probe.each("WriteTxnMarkers", "of no partition", Claim.OK, (way, version) ->
                marker(a()));
        probe.each("WriteTxnMarkers", "unknown topic", Claim.ERROR, (way, version) ->
                marker(a(m("name", Setup.NOTHING, "partitionIndexes", a(0)))));
        listed(probe);
    }

    private static Map<String, Object> marker(Object topics) {
        return m("markers", a(m("producerId", 1L << 40, "producerEpoch", 0,
                "transactionResult", false, "topics", topics, "coordinatorEpoch", 0)));
    }

    private static void offsets(Probe probe) throws Exception {
        for (short version : probe.versions("AddOffsetsToTxn")) {
            String id = "offsets-v" + version;
            begin(probe, id);
            probe.step("AddOffsetsToTxn", version, "of a group", Claim.OK, (way, it) ->
                    addOffsets(way, id, producerId(way, id)), NOTHING);
            probe.step("AddOffsetsToTxn", version, "another's id", Claim.ERROR, (way, it) ->
                    addOffsets(way, id, 1L << 40), NOTHING);
            end(probe, id);
        }
        for (short version : probe.versions("TxnOffsetCommit")) {
            String id = "commit-v" + version;
            begin(probe, id);
            for (Way way : probe.ways) {
                probe.prepare(way, "AddOffsetsToTxn",
                        addOffsets(way, id, producerId(way, id)));
            }
            probe.step("TxnOffsetCommit", version, "one", Claim.OK, (way, it) ->
                    commit(way, id, true), NOTHING);
            probe.step("TxnOffsetCommit", version, "unknown topic", Claim.ERROR, (way, it) ->
                    commit(way, id, false), NOTHING);
            end(probe, id);
        }
    }

    private static void listed(Probe probe) throws Exception {
        probe.each("DescribeTransactions", "one", Claim.OK, (way, version) ->
                m("transactionalIds", a(Setup.transaction(way, "init-v0"))));
        probe.each("DescribeTransactions", "unknown", Claim.ERROR, (way, version) ->
                m("transactionalIds", a(Setup.transaction(way, "nobody"))));
        // Transactions that were committed are completed in the background.
        probe.prepare(probe.direct, "ListTransactions", m("stateFilters",
                a("Ongoing", "PrepareCommit", "PrepareAbort")), json ->
                json.get("transactionStates").isEmpty());
        probe.each("ListTransactions", "all", Claim.OK, (way, version) -> m());
        probe.each("ListTransactions", "of an unknown state", Claim.ANY, (way, version) ->
                m("stateFilters", a("Nonsense", "Empty")));
        probe.since(2, "ListTransactions", "by no pattern", Claim.ERROR, (way, version) ->
                m("?transactionalIdPattern", "("));
    }

    private static void begin(Probe probe, String id) throws Exception {
        for (Way way : probe.ways) {
            JsonNode producer = probe.prepare(way, "InitProducerId",
                    m("transactionalId", Setup.transaction(way, id),
                            "transactionTimeoutMs", 60_000));
            way.keep("producer " + id, producer.get("producerId").asLong());
            way.keep("epoch " + id, producer.get("producerEpoch").asInt());
        }
    }

    private static long producerId(Way way, String id) {
        return (long) way.kept("producer " + id);
    }

    private static Map<String, Object> add(Way way, String id, long producerId) {
        return m("v3AndBelowTransactionalId", Setup.transaction(way, id),
                "v3AndBelowProducerId", producerId,
                "v3AndBelowProducerEpoch", way.kept("epoch " + id),
                "v3AndBelowTopics", a(m("name", way.own("txn"), "partitions", a(0))));
    }

    private static void addOne(Probe probe, Way way, String id) throws Exception {
        probe.prepare(way, "AddPartitionsToTxn", add(way, id, producerId(way, id)));
    }

    private static Map<String, Object> addOffsets(Way way, String id,
            long producerId) {
        return m("transactionalId", Setup.transaction(way, id), "producerId", producerId,
                "producerEpoch", way.kept("epoch " + id),
                "groupId", Setup.group(way, "txn"));
    }

    private static Map<String, Object> commit(Way way, String id, boolean isKnown) {
        return m("transactionalId", Setup.transaction(way, id),
                "groupId", Setup.group(way, "txn"),
                "producerId", producerId(way, id), "producerEpoch", way.kept("epoch " + id),
                "topics", a(m("name", isKnown ? Setup.RECORDS : Setup.NOTHING,
                        "?topicId", isKnown ? Setup.recordsId() : Setup.NO_ID,
                        "partitions", a(m("partitionIndex", 0, "committedOffset", 2,
                                "committedMetadata", "m")))));
    }

    private static Map<String, Object> end(Way way, String id, long producerId) {
        return m("transactionalId", Setup.transaction(way, id), "producerId", producerId,
                "producerEpoch", way.kept("epoch " + id), "committed", true);
    }

    private static void end(Probe probe, String id) throws Exception {
        for (Way way : probe.ways) {
            probe.prepare(way, "EndTxn", end(way, id, producerId(way, id)));
        }
    }
}
