//! Scripts on networks: what doorkeeper read, wrote and reported must be the same
//! on the direct backend, on a simulated network and on the operating system's, whatever the
//! pieces.
//!
//! The server is `io_tokio::serve` itself, the brokers are those of `sim/host`. What a script does
//! to them, and to bytes on their way, is done by the peers of doorkeeper, so that on the loopback
//! interface it is real sockets that end, are reset and stay silent. doorkeeper listens through a
//! [`Tap`](crate::tap::Tap), which keeps what it reads and writes.

mod brokers;
mod clients;
mod doorkeeper;
mod faulty_net;
mod loopback;
mod names;
mod player;
mod recorder;
mod rig;
mod simulated;
mod transcripts;
mod wait_limits;

pub use loopback::on_loopback;
pub use simulated::{on_turmoil, recorded_on_turmoil};
