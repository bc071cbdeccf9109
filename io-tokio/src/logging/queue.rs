//! Takes log lines from everywhere and writes them from one thread: whoever logs never waits for
//! whoever reads the log, and never hears of its failures.

use std::io::{self, Write};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// How many bytes of lines may wait; a line for which there is no room is dropped.
const BYTES_MAX: usize = 1 << 20;

/// A buffer that grew larger than this in a burst is given back.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// How long the writer rests after what it has written. Lines that come meanwhile are written
/// together: whoever logs often wakes nobody for it.
const REST: Duration = Duration::from_millis(5);

/// Why lines were dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Why {
    why: &'static str,
}

type Dropped = Family<Why, Counter>;

const FULL: Why = Why { why: "full" };
const FAILED: Why = Why { why: "failed" };

/// Lines of this process that nobody will read. One count, as there is one log.
pub(crate) static DROPPED: LazyLock<Dropped> = LazyLock::new(|| {
    let dropped = Dropped::default();
    for why in [FULL, FAILED] {
        drop(dropped.get_or_create(&why));
    }
    dropped
});

/// The lines of this process that wait for standard error.
pub(super) static STDERR: Queue = Queue::new();

/// Lines that wait to be written.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Rings when there is something to write for an idle writer, when somebody begins to wait for
    /// all of it to be written, and for them when something has been.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: Vec<u8>,
    writer: Writer,
    /// How many wait for all lines to be written.
    flushing: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// Wants to be woken for the next line.
    Idle,
    /// Comes by itself.
    Rests,
    Writes,
}

impl State {
    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.writer != Writer::Writes
    }
}

impl Queue {
    const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: Vec::new(),
                writer: Writer::Idle,
                flushing: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Starts the thread that writes, for as long as the process lives.
    pub(super) fn start(&'static self, mut sink: impl Write + Send + 'static) -> io::Result<()> {
        let builder = thread::Builder::new().name("log".to_owned());
        builder
            .spawn(move || {
                let mut lines = Vec::new();
                loop {
                    self.write_next(&mut lines, &mut sink);
                }
            })
            .map(drop)
    }

    /// Waits for lines and writes them all.
    fn write_next(&self, lines: &mut Vec<u8>, sink: &mut impl Write) {
        lines.clear();
        lines.shrink_to(KEPT_BYTES_MAX);
        let mut state = self.state();
        if state.writer == Writer::Writes {
            state = self.rest(state);
        }
        while state.waiting.is_empty() {
            state.writer = Writer::Idle;
            state = self.wait(state);
        }
        std::mem::swap(&mut state.waiting, lines);
        state.writer = Writer::Writes;
        drop(state);
        write_lines(lines, sink);
    }

    /// Lets lines gather, unless somebody waits for them.
    fn rest<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.writer = Writer::Rests;
        if state.flushing > 0 {
            self.changed.notify_all();
        }
        let nobody_waits = |state: &mut State| state.flushing == 0;
        let rested = self.changed.wait_timeout_while(state, REST, nobody_waits);
        rested.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Takes one or more whole lines, or drops them.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + lines.len() > BYTES_MAX {
            drop(state);
            count_dropped(&FULL, lines);
            return;
        }
        state.waiting.extend_from_slice(lines);
        let is_idle = state.writer == Writer::Idle;
        if is_idle {
            state.writer = Writer::Rests;
        }
        drop(state);
        if is_idle {
            self.changed.notify_all();
        }
    }

    /// Waits until all lines are written, but not for longer than this.
    pub(super) fn flush(&self, within: Duration) {
        let mut state = self.state();
        state.flushing += 1;
        self.changed.notify_all();
        let busy = |state: &mut State| !state.is_done();
        let flushed = self.changed.wait_timeout_while(state, within, busy);
        let (mut state, _) = flushed.unwrap_or_else(PoisonError::into_inner);
        state.flushing -= 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let woken = self.changed.wait(state);
        woken.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes as much as the sink takes. What it does not take is lost: a full disk or a reader that
/// went away must not end the service.
fn write_lines(mut lines: &[u8], sink: &mut impl Write) {
    while !lines.is_empty() {
        match sink.write(lines) {
            Ok(count) if count > 0 => lines = lines.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return count_dropped(&FAILED, lines),
        }
    }
}

fn count_dropped(why: &Why, lines: &[u8]) {
    let count = lines.split(|byte| *byte == b'\n').count().saturating_sub(1);
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    DROPPED.get_or_create(why).inc_by(count.max(1));
}

/// Hands whole lines to a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines(pub(super) &'static Queue);

impl Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc;

    fn dropped(why: &Why) -> u64 {
        DROPPED.get_or_create(why).get()
    }

    fn queue() -> &'static Queue {
        Box::leak(Box::new(Queue::new()))
    }

    /// Takes nothing until the test says so.
    struct Stalled {
        go_on: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.go_on.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_no_time() {
        let (queue, (go, go_on)) = (queue(), mpsc::channel());
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Stalled {
            go_on,
            written: Arc::clone(&written),
        };
        queue.start(sink).unwrap();
        let before = dropped(&FULL);
        let line = [[b'x'; 1023].as_slice(), b"\n"].concat();
        // One batch may be on its way already, another one waits; the rest has no room.
        for _ in 0..3 * (BYTES_MAX / line.len()) {
            queue.push(&line);
        }
        let lost = dropped(&FULL) - before;
        assert!(lost >= (BYTES_MAX / line.len()) as u64, "{lost}");
        // It gives up waiting: the reader has not gone on.
        queue.flush(Duration::from_millis(1));
        assert!(written.lock().unwrap().is_empty());
        drop(go);
        queue.flush(Duration::from_secs(60));
        let kept = written.lock().unwrap().len() / line.len();
        assert_eq!(kept as u64 + lost, 3 * (BYTES_MAX / line.len()) as u64);
    }

    #[test]
    fn a_sink_that_fails_costs_its_lines_only() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let before = dropped(&FAILED);
        write_lines(b"one\ntwo\n", &mut Full);
        assert_eq!(dropped(&FAILED) - before, 2);
    }
}
