//! One connection: a reader and a writer, which end together.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use doorkeeper_core::id::BrokerId;
use doorkeeper_kafka_model::ConnectionId;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

use crate::frames::Frames;
use crate::outbox::{Next, Outbox};
use crate::shared::SharedCluster;

/// Serves one connection until either side ends it, or `stop`.
pub(crate) async fn run<S: AsyncRead + AsyncWrite>(
    stream: S,
    broker: BrokerId,
    shared: Arc<SharedCluster>,
    stop: CancellationToken,
) {
    let (id, outbox) = shared.connected(broker);
    let (reader, writer) = tokio::io::split(stream);
    let over = stop.child_token();
    let read = async {
        let ended = over
            .run_until_cancelled(read(reader, id, &outbox, &shared))
            .await;
        over.cancel();
        if let Some(Err(error)) = ended {
            tracing::debug!(%broker, connection = id.0, %error, "cannot read");
        }
    };
    let write = async {
        let ended = over.run_until_cancelled(write(writer, &outbox)).await;
        over.cancel();
        if let Some(Err(error)) = ended {
            tracing::debug!(%broker, connection = id.0, %error, "cannot write");
        }
    };
    tokio::join!(biased; write, read);
    shared.disconnected(id);
}

async fn read<S: AsyncRead>(
    stream: ReadHalf<S>,
    id: ConnectionId,
    outbox: &Outbox,
    shared: &SharedCluster,
) -> io::Result<()> {
    let mut frames = Frames::new(stream, shared.frame_bytes_max());
    loop {
        while !shared.has_room(id, outbox) {
            outbox.progress().await;
        }
        let frame = match frames.next().await {
            Ok(Some(frame)) => frame,
            // A broker reads an invalid frame, as it reads the end, behind the requests before it
            // (`SocketServer` mutes the channel of a request until it has its response).
            ended if is_ended(&ended) => {
                while shared.owes(id, outbox) {
                    outbox.progress().await;
                }
                return ended.map(drop);
            }
            failed => return failed.map(drop),
        };
        shared.with(|cluster, now| cluster.request(now, id, frame));
    }
}

/// Whether a peer has ended its half, or has sent what is no frame, and may still read.
fn is_ended(next: &io::Result<Option<Bytes>>) -> bool {
    use io::ErrorKind::{InvalidData, UnexpectedEof};
    match next {
        Ok(frame) => frame.is_none(),
        Err(error) => matches!(error.kind(), InvalidData | UnexpectedEof),
    }
}

async fn write<S: AsyncWrite>(mut stream: WriteHalf<S>, outbox: &Outbox) -> io::Result<()> {
    loop {
        match outbox.next().await {
            Next::Frame(frame) => {
                let bytes = frame.len();
                // The model makes no frame that its length cannot announce.
                let length = u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
                stream
                    .write_all_buf(&mut length.as_slice().chain(frame))
                    .await?;
                stream.flush().await?;
                outbox.written(bytes);
            }
            Next::Close(reason) => {
                tracing::info!(%reason, "connection closed");
                return stream.shutdown().await;
            }
        }
    }
}
