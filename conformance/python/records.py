"""Records that any run makes alike, and digests of what came back, in order, per partition."""

import hashlib
import random
import struct

EPOCH_MS = 1_700_000_000_000


def make(i):
    """Record i: random bytes (nothing compresses them), some nulls, headers, big ones."""
    value = None
    if i % 13:
        value = random.Random(i).randbytes(200_000 if i % 500 == 499 else 900 + i % 200)
    return {
        "key": b"key-%d" % i if i % 11 else None,
        "value": value,
        "timestamp": EPOCH_MS + i,
        "headers": [("n", b"%d" % i), ("none", None)] if i % 7 == 0 else [],
    }


def something(i):
    """The same for clients that send no record without both key and value, and no header
    without a value."""
    record = make(i)
    record["headers"] = [it for it in record["headers"] if it[1] is not None]
    if record["key"] is None and record["value"] is None:
        record["value"] = b"neither"
    return record


def size(key, value):
    return len(key or b"") + len(value or b"")


def digest(key, value, timestamp, headers):
    sha = hashlib.sha256(struct.pack(">q", timestamp))
    fields = [key, value]
    for name, content in headers or []:
        fields += [name.encode(), content]
    for field in fields:
        sha.update(struct.pack(">i", -1 if field is None else len(field)))
        sha.update(field or b"")
    return sha.digest()


class Log:
    """Digests in the order of arrival, by partition."""

    def __init__(self):
        self.by_partition = {}
        self.count = 0

    def sent(self, partition, record):
        self._add(partition, digest(**record))

    def received(self, partition, key, value, timestamp, headers):
        self._add(partition, digest(key, value, timestamp, headers))

    def _add(self, partition, entry):
        self.by_partition.setdefault(partition, []).append(entry)
        self.count += 1

    def hash(self):
        sha = hashlib.sha256()
        for partition, entries in sorted(self.by_partition.items()):
            sha.update(struct.pack(">ii", partition, len(entries)))
            for entry in entries:
                sha.update(entry)
        return sha.hexdigest()[:16]
