//! The thread that makes lines of what sessions hand over, and has them written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use doorkeeper_core::id::Seed;
use doorkeeper_core::{Accept, Input, Snapshot};
use doorkeeper_recording::line::{Cut, Line};
use doorkeeper_recording::{Key, RecordedStep, SessionHeader, StepEncoder};

use super::Counts;
use super::folder::{File, Folder};
use crate::observer::ClientConnection;
use crate::queue::Queue;

/// What there is to write of one session is written once it is so long, and at the latest when
/// there is nothing else to do.
const WRITE_BYTES: usize = 256 << 10;

/// Something that a session hands over.
#[derive(Debug)]
pub(super) enum Item {
    /// A session has begun.
    SessionHeader(Box<Beginning>),
    /// Something happened to it.
    Step(u64, RecordedStep),
    /// There was no room for what happened next.
    Cut(u64),
    /// It is over, for this reason.
    Ended(u64, &'static str),
    /// All sessions are over: the thread ends.
    Stop,
}

/// How a session began.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) connection: ClientConnection,
    pub(super) opened: SystemTime,
    pub(super) accept: Accept,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) seed: Seed,
    pub(super) is_cut: Arc<AtomicBool>,
}

impl Item {
    /// The session that it is of.
    const fn session(&self) -> Option<u64> {
        match self {
            Self::SessionHeader(beginning) => Some(beginning.connection.session),
            Self::Step(session, _) | Self::Cut(session) | Self::Ended(session, _) => Some(*session),
            Self::Stop => None,
        }
    }

    /// The memory that it takes while it waits.
    pub(super) fn bytes(&self) -> usize {
        let more = match self {
            Self::SessionHeader(_) => size_of::<Beginning>(),
            Self::Step(_, RecordedStep { input, outcome, .. }) => {
                let read = match input {
                    Input::Bytes { bytes, .. } => bytes.len(),
                    Input::Wrote { .. }
                    | Input::Ended { .. }
                    | Input::Evaluated(_)
                    | Input::Token(_)
                    | Input::Connected
                    | Input::ConnectFailed(_)
                    | Input::Snapshot(_)
                    | Input::Drain { .. }
                    | Input::ListenerRemoved { .. }
                    | Input::Revoked(_)
                    | Input::BufferPaused(_)
                    | Input::BufferResumed(_)
                    | Input::BufferRejected
                    | Input::Tick => 0,
                };
                let came = outcome.as_ref().map_or(0, |it| {
                    let effects = size_of_val(&*it.effects);
                    effects + it.client.bytes.len() + it.upstream.bytes.len()
                });
                read + came
            }
            Self::Cut(_) | Self::Ended(..) | Self::Stop => 0,
        };
        size_of::<Self>() + more
    }
}

pub(super) struct Writer {
    folder: Folder,
    key: Key,
    counts: Counts,
    /// The sessions that are being recorded.
    open: BTreeMap<u64, Open>,
}

/// One of them.
struct Open {
    step_encoder: StepEncoder,
    file: File,
    /// What is still to be written.
    text: String,
    /// Whether no more of it is recorded, and the flag that says so to the session.
    is_over: bool,
    is_cut: Arc<AtomicBool>,
}

impl Writer {
    pub(super) const fn new(folder: Folder, key: Key, counts: Counts) -> Self {
        Self {
            folder,
            key,
            counts,
            open: BTreeMap::new(),
        }
    }

    /// Runs until all sessions are over.
    pub(super) fn run(&mut self, waiting: &Queue<Item>) {
        let mut items = Vec::new();
        let mut stops = false;
        while !stops {
            waiting.next(&mut items);
            let mut touched = BTreeSet::new();
            for item in items.drain(..) {
                stops |= matches!(item, Item::Stop);
                touched.extend(item.session());
                self.take(item);
            }
            for session in touched {
                self.write(session);
            }
        }
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::SessionHeader(beginning) => self.begin(*beginning),
            Item::Step(session, taken) => self.step(session, &taken),
            Item::Cut(session) => self.cut(session, Cut::Queue),
            Item::Ended(session, reason) => self.end(session, reason),
            Item::Stop => {}
        }
    }

    fn begin(&mut self, beginning: Beginning) {
        let Beginning {
            connection,
            opened,
            accept,
            snapshot,
            seed,
            is_cut,
        } = beginning;
        let session = connection.session;
        let file = match self.folder.begin(session) {
            Ok(file) => file,
            Err(why) => {
                is_cut.store(true, Ordering::Relaxed);
                return self.counts.cut(why);
            }
        };
        self.counts.begun();
        let first = SessionHeader {
            doorkeeper: env!("CARGO_PKG_VERSION"),
            session,
            listener: connection.listen_addr.listener.name(),
            opened: &humantime::format_rfc3339_millis(opened).to_string(),
            accept,
            seed,
            snapshot: &snapshot,
        };
        let step_encoder = StepEncoder::new(self.key, &snapshot);
        let open = Open {
            step_encoder,
            file,
            text: String::new(),
            is_over: false,
            is_cut,
        };
        self.open.insert(session, open);
        self.add(session, &first.line());
    }

    fn step(&mut self, session: u64, taken: &RecordedStep) {
        if let Some(open) = self.open.get_mut(&session)
            && !open.is_over
        {
            let step = open.step_encoder.step(taken);
            self.add(session, &Line::Step(step));
        }
    }

    /// Adds a line, unless the file becomes too long by it.
    fn add(&mut self, session: u64, line: &Line) {
        let Some(open) = self.open.get_mut(&session) else {
            return;
        };
        let line = line.text();
        if self
            .folder
            .is_too_long(&open.file, open.text.len() + line.len())
        {
            return self.cut(session, Cut::File);
        }
        open.text.push_str(&line);
        if open.text.len() >= WRITE_BYTES {
            self.write(session);
        }
    }

    /// No more of it is recorded.
    fn cut(&mut self, session: u64, why: Cut) {
        self.write(session);
        self.is_cut(session, why);
    }

    fn is_cut(&mut self, session: u64, why: Cut) {
        if let Some(open) = self.open.get_mut(&session)
            && !open.is_over
        {
            open.is_over = true;
            open.is_cut.store(true, Ordering::Relaxed);
            self.counts.cut(why);
            self.last(session, &Line::Cut(why));
        }
    }

    fn end(&mut self, session: u64, reason: &'static str) {
        self.write(session);
        self.last(session, &Line::End(reason.to_owned()));
        if let Some(open) = self.open.remove(&session) {
            self.folder.finish(open.file);
        }
    }

    /// Writes what there is of a session.
    fn write(&mut self, session: u64) {
        let Some(open) = self.open.get_mut(&session) else {
            return;
        };
        let written = self.folder.append(&mut open.file, open.text.as_bytes());
        open.text.clear();
        open.text.shrink_to(WRITE_BYTES / 16);
        if let Err(why) = written {
            self.is_cut(session, why);
        }
    }

    /// Writes one of the last lines of a recording, for which there is always room.
    fn last(&mut self, session: u64, line: &Line) {
        if let Some(open) = self.open.get_mut(&session) {
            self.folder
                .append_last(&mut open.file, line.text().as_bytes());
        }
    }
}
