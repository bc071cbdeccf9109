//! Takes log lines from everywhere and writes them from one thread: code that logs never waits for
//! the reader of the log, and never learns of its failures.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::thread;

use doorkeeper_core::client_address::ClientAddress;
use doorkeeper_core::client_network::ClientNetwork;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::queue::{Full, Queue};

/// How many bytes of lines may wait; a line for which there is no room is dropped.
const BYTES_MAX: usize = 1 << 20;

/// A buffer that grew larger than this in a burst is given back.
const KEPT_BYTES_MAX: usize = 64 << 10;

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
pub(super) static STDERR: Queue<u8> = Queue::new(BYTES_MAX);

thread_local! {
    /// The client that this thread logs about.
    static CLIENT: Cell<Option<ClientNetwork>> = const { Cell::new(None) };
}

/// While it lives, what this thread logs is about a client: lines about one client address do not
/// use up the room of all others.
pub(super) struct AboutClient {
    before: Option<ClientNetwork>,
}

impl AboutClient {
    pub(super) fn from(client: ClientAddress) -> Self {
        let before = CLIENT.replace(Some(client.network()));
        Self { before }
    }
}

impl Drop for AboutClient {
    fn drop(&mut self) {
        CLIENT.set(self.before);
    }
}

/// The client that this thread logs about, if it does.
pub(super) fn client() -> Option<ClientNetwork> {
    CLIENT.get()
}

/// Starts the thread that writes the lines of a queue, for as long as the process lives.
pub(super) fn start(
    queue: &'static Queue<u8>,
    mut sink: impl Write + Send + 'static,
) -> io::Result<()> {
    let builder = thread::Builder::new().name("log".to_owned());
    builder
        .spawn(move || {
            let mut lines = Vec::new();
            loop {
                queue.next(&mut lines);
                write_lines(&lines, &mut sink);
                lines.clear();
                lines.shrink_to(KEPT_BYTES_MAX);
            }
        })
        .map(drop)
}

/// Takes one or more whole lines, or drops them.
fn push(queue: &Queue<u8>, lines: &[u8]) {
    let pushed = queue.push(client(), lines.len(), |waiting| {
        waiting.extend_from_slice(lines)
    });
    if let Err(Full) = pushed {
        count_dropped(&FULL, lines);
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
pub(super) struct Lines(pub(super) &'static Queue<u8>);

impl Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        push(self.0, lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex, mpsc};
    use std::time::Duration;

    fn dropped(why: &Why) -> u64 {
        DROPPED.get_or_create(why).get()
    }

    fn queue() -> &'static Queue<u8> {
        Box::leak(Box::new(Queue::new(BYTES_MAX)))
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
        start(queue, sink).unwrap();
        let before = dropped(&FULL);
        let line = [[b'x'; 1023].as_slice(), b"\n"].concat();
        // One batch may be on its way already, another one waits; the rest has no room.
        for _ in 0..3 * (BYTES_MAX / line.len()) {
            push(queue, &line);
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
