"""Frames of a few requests, written and read by hand: for a client that must decide itself when
its connection ends, which no library lets it do."""

import socket
import struct

PRODUCE, FETCH, LIST_OFFSETS, METADATA, CREATE_TOPICS = 0, 1, 2, 3, 19

# The last versions without tagged fields, all of which 3.9 and 4.x serve.
VERSIONS = {PRODUCE: 7, FETCH: 4, LIST_OFFSETS: 1, METADATA: 1, CREATE_TOPICS: 4}


def text(value):
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 & -(crc & 1))
    return crc ^ 0xFFFFFFFF


def batch(value):
    """A record batch with one record."""

    def varint(number):
        number = (number << 1) ^ (number >> 31)
        out = bytearray()
        while number > 0x7F:
            out.append((number & 0x7F) | 0x80)
            number >>= 7
        return bytes(out) + bytes([number])

    body = b"\0" + varint(0) + varint(0) + varint(-1) + varint(len(value)) + value + varint(0)
    record = varint(len(body)) + body
    stamp = 1_600_000_000_000
    summed = struct.pack(">hiqqqhii", 0, 0, stamp, stamp, -1, -1, -1, 1) + record
    rest = struct.pack(">ibI", 0, 2, crc32c(summed)) + summed
    return struct.pack(">qi", 0, len(rest)) + rest


def request(client_id, key, number, body):
    head = struct.pack(">hhi", key, VERSIONS[key], number) + text(client_id)
    return struct.pack(">i", len(head) + len(body)) + head + body


def produce(topic, acks, value):
    records = batch(value)
    body = struct.pack(">hhii", -1, acks, 30_000, 1) + text(topic)
    return body + struct.pack(">iii", 1, 0, len(records)) + records


def fetch(topic, offset, wait_ms):
    """Waits for more than will come."""
    body = struct.pack(">iiiib", -1, wait_ms, 1 << 20, 1 << 20, 0)
    body += struct.pack(">i", 1) + text(topic)
    return body + struct.pack(">iiqi", 1, 0, offset, 1 << 20)


def list_offsets(topic):
    return struct.pack(">ii", -1, 1) + text(topic) + struct.pack(">iiq", 1, 0, -1)


def create_topic(topic):
    body = struct.pack(">i", 1) + text(topic) + struct.pack(">ihii", 1, 1, 0, 0)
    return body + struct.pack(">ib", 30_000, 0)


class Connection:
    """A socket and the numbers of its requests."""

    def __init__(self, address, client_id):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client_id = client_id
        self.number = 0

    def frame(self, key, body):
        self.number += 1
        return request(self.client_id, key, self.number, body)

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def ask(self, key, body):
        """The body of the response."""
        self.send(self.frame(key, body))
        number, body = self.response()
        if number != self.number:
            raise AssertionError(f"response {number} to request {self.number}")
        return body

    def up_to(self, count):
        """So many bytes, or those that come before the end."""
        got = b""
        while len(got) < count:
            part = self.socket.recv(count - len(got))
            if not part:
                break
            got += part
        return got

    def exactly(self, count):
        got = self.up_to(count)
        if len(got) < count:
            raise AssertionError(f"a response ends after {len(got)} of {count} bytes")
        return got

    def response(self):
        """The next response, as its number and its body; nothing at the end."""
        prefix = self.up_to(1)
        if not prefix:
            return None
        (size,) = struct.unpack(">i", prefix + self.exactly(3))
        frame = self.exactly(size)
        return struct.unpack(">i", frame[:4])[0], frame[4:]

    def responses(self):
        """All responses up to the end, by number and body, and how it ended."""
        responses = []
        try:
            while (response := self.response()) is not None:
                responses.append(response)
        except ConnectionResetError:
            return responses, "reset"
        return responses, "closed"

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


class Reader:
    """Reads what responses are made of."""

    def __init__(self, data):
        self.data = data

    def take(self, form):
        size = struct.calcsize(form)
        (value,) = struct.unpack(form, self.data[:size])
        self.data = self.data[size:]
        return value

    def bytes(self, size):
        value, self.data = self.data[:size], self.data[size:]
        return value

    def varint(self):
        number, shift = 0, 0
        while True:
            byte = self.take(">B")
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)

    def text(self):
        size = self.take(">h")
        return None if size < 0 else self.bytes(size).decode()


def brokers_and_leader(body, topic):
    """Of a Metadata response: the addresses by broker id, and who leads partition 0."""
    reader = Reader(body)
    nodes = {}
    for _ in range(reader.take(">i")):
        node = reader.take(">i")
        nodes[node] = f"{reader.text()}:{reader.take('>i')}"
        reader.text()
    reader.take(">i")
    leader = -1
    for _ in range(reader.take(">i")):
        reader.take(">h")
        name, _ = reader.text(), reader.take(">b")
        for _ in range(reader.take(">i")):
            error, index, found = reader.take(">h"), reader.take(">i"), reader.take(">i")
            for _ in range(2):
                for _ in range(reader.take(">i")):
                    reader.take(">i")
            if name == topic and index == 0 and error == 0:
                leader = found
    return nodes, leader


def latest_offset(body):
    """Of a ListOffsets response for one partition: the error and the offset."""
    reader = Reader(body)
    reader.take(">i"), reader.text(), reader.take(">i"), reader.take(">i")
    error, _ = reader.take(">h"), reader.take(">q")
    return error, reader.take(">q")


def produced(body):
    """Of a Produce response for one partition: the error and the offset of the first record."""
    reader = Reader(body)
    reader.take(">i"), reader.text(), reader.take(">i"), reader.take(">i")
    return reader.take(">h"), reader.take(">q")


def fetched(body):
    """Of a Fetch response for one partition: the error, and the values with their offsets."""
    reader = Reader(body)
    reader.take(">i"), reader.take(">i"), reader.text(), reader.take(">i"), reader.take(">i")
    error, _, _ = reader.take(">h"), reader.take(">q"), reader.take(">q")
    for _ in range(reader.take(">i")):
        reader.take(">q"), reader.take(">q")
    records = Reader(reader.bytes(max(reader.take(">i"), 0)))
    values = []
    while records.data:
        offset, size = records.take(">q"), records.take(">i")
        values.append((offset, value_of(records.bytes(size))))
    return error, values


# Leader epoch, magic, checksum, attributes, last offset, two times, producer and first sequence.
HEAD_OF_BATCH = struct.calcsize(">ibIhiqqqhi")


def value_of(batch):
    """What `batch` made, behind its offset and its length: the value of its one record."""
    reader = Reader(batch)
    reader.bytes(HEAD_OF_BATCH)
    count = reader.take(">i")
    if count != 1:
        raise AssertionError(f"a batch of {count} records")
    reader.varint(), reader.take(">b"), reader.varint(), reader.varint(), reader.varint()
    return reader.bytes(reader.varint())
