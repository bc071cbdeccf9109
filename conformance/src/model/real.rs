//! Real brokers, by their direct listeners.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::{Bytes, BytesMut};
use doorkeeper_core::id::HostPort;
use doorkeeper_model::client::TopicIds;
use doorkeeper_model::script::Topic;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::brokers::{Brokers, IDS};

/// Matters only when something hangs.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// A cluster of real brokers.
#[derive(Debug)]
pub(super) struct Real {
    places: Vec<HostPort>,
    ids: Ids,
}

/// The ids of topics by their names.
#[derive(Debug, Default)]
struct Ids(BTreeMap<String, Uuid>);

impl TopicIds for Ids {
    fn topic_id(&self, topic: Topic) -> Uuid {
        // An id of no topic.
        let none = Uuid::from_u128(u128::MAX);
        self.0.get(topic.name()).copied().unwrap_or(none)
    }
}

impl Real {
    /// Of brokers by id and address.
    pub(super) fn new(direct: &[(u16, String)]) -> Result<Self> {
        let place = |(_, at): &(u16, String)| at.parse().context("no address");
        Ok(Self {
            places: direct.iter().map(place).collect::<Result<_>>()?,
            ids: Ids::default(),
        })
    }

    /// Where the brokers are, in the order of their ids.
    pub(super) fn places(&self) -> &[HostPort] {
        &self.places
    }

    /// What its topics are called by their ids now.
    pub(super) fn learn_ids(&mut self, ids: BTreeMap<String, Uuid>) {
        self.ids = Ids(ids);
    }
}

impl Brokers for Real {
    type Wire = TcpStream;

    async fn connect(&mut self, broker: i32) -> Result<TcpStream> {
        let at = IDS.iter().position(|id| *id == broker);
        let at = at.and_then(|at| self.places.get(at));
        let at = at.context("no such broker")?;
        let stream = TcpStream::connect((at.host(), at.port())).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn send(&mut self, wire: &mut TcpStream, bytes: &[u8]) -> Result<()> {
        // A broker that has closed says so at the next read.
        let _ = wire.write_all(bytes).await;
        Ok(())
    }

    async fn receive(&mut self, wire: &mut TcpStream) -> Result<Option<Bytes>> {
        let mut bytes = BytesMut::with_capacity(64 << 10);
        let read = timeout(RESPONSE_TIMEOUT, wire.read_buf(&mut bytes));
        match read.await.context("no response came")? {
            Ok(0) | Err(_) => Ok(None),
            Ok(_) => Ok(Some(bytes.freeze())),
        }
    }

    fn topic_ids(&self) -> &dyn TopicIds {
        &self.ids
    }

    async fn pause(&mut self) {
        sleep(Duration::from_millis(100)).await;
    }
}
