//! One client of doorkeeper, and one that goes on all the time and must not notice anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock::pass;
use crate::frames;
use crate::mesh::Far;

pub struct Client {
    pub far: Far,
    pub address: SocketAddr,
    came: Instant,
}

impl Client {
    pub fn new(far: Far, address: SocketAddr) -> Self {
        Self {
            far,
            address,
            came: Instant::now(),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.far.stream.write_all(bytes).await.unwrap();
    }

    /// The next whole frame from doorkeeper, with its length.
    pub async fn frame(&mut self) -> Vec<u8> {
        let frame = frames::next_frame(&mut self.far.stream).await;
        frame.expect("a response and not the end")
    }

    /// Sends a heartbeat and gets its response.
    pub async fn exchange(&mut self, id: i32) {
        self.send(&frames::heartbeat(id)).await;
        assert_eq!(self.frame().await, frames::heartbeat_response(id));
    }

    /// All that still comes until doorkeeper ends the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.far.stream.read_to_end(&mut rest).await.unwrap();
        rest
    }

    /// How long ago it came.
    pub fn age(&self) -> Duration {
        self.came.elapsed()
    }
}

/// A client that sends a heartbeat every second and gets its response.
pub struct Bystander {
    pub address: SocketAddr,
    served: Arc<AtomicI32>,
    task: JoinHandle<()>,
}

const BEAT: Duration = Duration::from_secs(1);

impl Bystander {
    pub fn start(mut client: Client) -> Self {
        let address = client.address;
        let served = Arc::new(AtomicI32::new(0));
        let count = Arc::clone(&served);
        let task = tokio::spawn(async move {
            for id in 1.. {
                if client
                    .far
                    .stream
                    .write_all(&frames::heartbeat(id))
                    .await
                    .is_err()
                {
                    return;
                }
                let frame = frames::next_frame(&mut client.far.stream).await;
                if frame != Some(frames::heartbeat_response(id)) {
                    return;
                }
                count.store(id, Ordering::Relaxed);
                pass(BEAT).await;
            }
        });
        Self {
            address,
            served,
            task,
        }
    }

    /// It is served, and goes on being served.
    pub async fn is_served(&self) {
        let before = self.served.load(Ordering::Relaxed);
        while self.served.load(Ordering::Relaxed) < before + 2 {
            assert!(!self.task.is_finished(), "the bystander was not served");
            pass(BEAT).await;
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.task.abort();
    }
}
