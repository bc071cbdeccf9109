//! What one session saw, as a file that anybody can replay.
//!
//! A driver hands every input of a session and its outcome to a [`StepEncoder`], which encodes them
//! as lines: payloads, logins and whatever cannot be read by Kafka's schemas are replaced by their
//! length (`mask.rs`), everything else stays. [`Recording`] reads such a file, also one that a
//! crash has cut, and [`replay()`] hands the same inputs to core's `Session` at the same times and
//! says where it did something else. `docs/recording.md` is for those who use it.
//!
//! Nothing here touches a file, a clock or a thread.

pub mod line;
pub mod login;
mod mask;
mod outcome;
mod pieces;
mod read;
mod replay;
mod snapshot;
mod step_encoder;
mod tls;

pub use mask::Key;
pub use outcome::{EgressGrowth, EgressLengths, Outcome, RecordedStep};
pub use read::{Recording, Unreadable};
pub use replay::{Difference, Moment, Replay, ReplayResult, replay};
pub use step_encoder::{SessionHeader, StepEncoder};
