//! Records what sessions see, so that what happened to one can be replayed elsewhere.
//!
//! A session hands over each input and its effects (`session_recording.rs`). One thread makes lines
//! of them, without payloads (`doorkeeper-recording`), and writes these (`writer.rs`) into a folder
//! that does not outgrow its bound (`folder.rs`). The session never waits: what there is no room
//! for, in memory or on the disk, is dropped, and its recording ends there and says so.

mod folder;
mod session_recording;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doorkeeper_recording::Key;
use doorkeeper_recording::line::Cut;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::queue::Queue;

pub(crate) use session_recording::SessionRecording;

use folder::Folder;
use writer::{Item, Writer};

/// How much may wait for the thread. Bytes that were read may keep up to four times as much memory
/// alive.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// Where recordings go, and how much of them is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder. Files of other kinds in it are left alone.
    pub dir: PathBuf,
    /// How long one file may become.
    pub file_bytes_max: u64,
    /// How long all of them together may become; of those that are finished the oldest goes first.
    pub bytes_max: u64,
}

/// Records the sessions of one process, until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<RecorderState>);

#[derive(Debug)]
struct RecorderState {
    waiting: Arc<Queue<Item>>,
    counts: Counts,
}

impl Recorder {
    /// Makes the folder if need be, and starts the thread.
    ///
    /// # Errors
    /// There is no such folder and none can be made, or the system gives no thread.
    pub fn start(settings: &Settings, key: Key, counts: Counts) -> io::Result<Self> {
        let folder = Folder::open(settings, counts.clone())?;
        let waiting = Arc::new(Queue::new(WAITING_BYTES_MAX));
        let mut writer = Writer::new(folder, key, counts.clone());
        let items = Arc::clone(&waiting);
        let thread = std::thread::Builder::new().name("recorder".to_owned());
        thread.spawn(move || writer.run(&items))?;
        Ok(Self(Arc::new(RecorderState { waiting, counts })))
    }

    /// Waits until what has been handed over is written, but not for longer than this.
    pub fn flush(&self, within: Duration) {
        self.0.waiting.flush(within);
    }
}

impl Drop for RecorderState {
    fn drop(&mut self) {
        let _ = self.waiting.push(None, 0, |items| items.push(Item::Stop));
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Event {
    event: &'static str,
}

/// What became of recordings.
#[derive(Clone, Debug)]
pub struct Counts(Family<Event, Counter>);

const BEGUN: &str = "begun";
const REMOVED: &str = "removed";

impl Default for Counts {
    fn default() -> Self {
        let counts = Self(Family::default());
        for event in [BEGUN, REMOVED].into_iter().chain(Cut::ALL.map(of_cut)) {
            counts.of(event);
        }
        counts
    }
}

impl Counts {
    pub(crate) fn family(&self) -> Family<Event, Counter> {
        self.0.clone()
    }

    fn of(&self, event: &'static str) -> Counter {
        self.0.get_or_create(&Event { event }).clone()
    }

    fn begun(&self) {
        self.of(BEGUN).inc();
    }

    fn removed(&self) {
        self.of(REMOVED).inc();
    }

    fn cut(&self, why: Cut) {
        self.of(of_cut(why)).inc();
    }
}

const fn of_cut(why: Cut) -> &'static str {
    match why {
        Cut::Queue => "cut_queue",
        Cut::File => "cut_file",
        Cut::Folder => "cut_folder",
        Cut::Failed => "cut_failed",
    }
}
