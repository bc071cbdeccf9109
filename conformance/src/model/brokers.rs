//! Whom a script is played against: brokers that take connections, requests and time.

use anyhow::Result;
use bytes::Bytes;
use doorkeeper_model::client::TopicIds;

/// The ids of both clusters.
pub(super) const IDS: [i32; 3] = [1, 2, 3];

/// A cluster.
pub(super) trait Brokers {
    /// One connection to it.
    type Wire;

    /// Opens a connection to a broker.
    async fn connect(&mut self, broker: i32) -> Result<Self::Wire>;

    /// Sends bytes.
    async fn send(&mut self, wire: &mut Self::Wire, bytes: &[u8]) -> Result<()>;

    /// Waits for more bytes; nothing once the connection has ended.
    async fn receive(&mut self, wire: &mut Self::Wire) -> Result<Option<Bytes>>;

    /// The ids of its topics.
    fn topic_ids(&self) -> &dyn TopicIds;

    /// Lets some time pass before something is tried again.
    async fn pause(&mut self);
}
