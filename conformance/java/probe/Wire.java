package probe;

import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.Map;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ByteBufferAccessor;

/** One raw connection, opened when it is needed and again when the other side has closed it. */
final class Wire implements AutoCloseable {
    /** Ample: no request here lets a broker wait for long. */
    private static final int RESPONSE_TIMEOUT_MS = 20_000;
    private static final int FRAME_MAX = 64 * 1024 * 1024;

    private final InetSocketAddress address;
    private final String clientId;
    private Socket socket;
    private DataInputStream in;
    private int correlationId = 0;

    Wire(String address, String clientId) {
        int colon = address.lastIndexOf(':');
        this.address = new InetSocketAddress(address.substring(0, colon),
                Integer.parseInt(address.substring(colon + 1)));
        this.clientId = clientId;
    }

    /** The whole frame of the response behind its size, or null when the connection was closed. */
    byte[] call(short key, short version, short headerVersion, ByteBuffer body) throws Exception {
        if (socket == null) {
            socket = new Socket();
            socket.connect(address, RESPONSE_TIMEOUT_MS);
            socket.setTcpNoDelay(true);
            socket.setSoTimeout(RESPONSE_TIMEOUT_MS);
            in = new DataInputStream(socket.getInputStream());
        }
        ByteBuffer header = Messages.write(Messages.build(RequestHeaderData.class, headerVersion,
                Map.of("requestApiKey", key, "requestApiVersion", version,
                        "correlationId", ++correlationId, "clientId", clientId)), headerVersion);
        ByteBuffer frame = ByteBuffer.allocate(4 + header.remaining() + body.remaining());
        frame.putInt(header.remaining() + body.remaining()).put(header).put(body);
        try {
            socket.getOutputStream().write(frame.array());
            return readResponse();
        } catch (java.net.SocketTimeoutException slow) {
            close();
            throw new IOException("no response within " + RESPONSE_TIMEOUT_MS + " ms", slow);
        } catch (IOException ended) {
            // A reset is an end as well: what was sent last may not have been read.
            close();
            return null;
        }
    }

    private byte[] readResponse() throws IOException {
        int size = in.readInt();
        if (size < 4 || size > FRAME_MAX) {
            throw new IllegalStateException("a response of " + size + " bytes");
        }
        byte[] response = new byte[size];
        in.readFully(response);
        int id = ByteBuffer.wrap(response).getInt();
        if (id != correlationId) {
            throw new IllegalStateException("response " + id + " to request " + correlationId);
        }
        return response;
    }

    /** The body of a response: what stands behind its header. */
    static ByteBuffer body(byte[] response, short headerVersion) {
        ByteBuffer buffer = ByteBuffer.wrap(response);
        new ResponseHeaderData(new ByteBufferAccessor(buffer), headerVersion);
        return buffer;
    }

    @Override
    public void close() throws IOException {
        if (socket != null) {
            socket.close();
            socket = null;
        }
    }
}
