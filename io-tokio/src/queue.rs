//! A bounded queue for one thread: a push never waits for the thread, and fails where there is no
//! room.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorkeeper_core::client_network::ClientNetwork;

/// How long the thread rests after what it has done. What comes meanwhile is done together, and
/// whoever brings it wakes nobody.
const REST: Duration = Duration::from_millis(5);

/// Things that wait for one thread.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Notifies the thread when it should come, and those that wait for all to be done.
    changed: Condvar,
    bytes_max: usize,
    rest: Duration,
}

#[derive(Debug)]
struct State<T> {
    waiting: Vec<T>,
    bytes: usize,
    /// How many of these bytes are of each client address.
    of_clients: BTreeMap<ClientNetwork, usize>,
    thread: Thread,
    /// How many wait for all to be done.
    flushing: usize,
}

/// What the thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thread {
    /// It wants to be woken for the next thing.
    Idle,
    /// It comes by itself.
    Rests,
    /// It does what it took.
    Works,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<T> Queue<T> {
    /// So many bytes may wait.
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: Vec::new(),
                bytes: 0,
                of_clients: BTreeMap::new(),
                thread: Thread::Idle,
                flushing: 0,
            }),
            changed: Condvar::new(),
            bytes_max,
            rest: REST,
        }
    }

    /// Takes what `add` adds, which has so many bytes. What has none is always taken.
    ///
    /// What comes because of a client is taken as long as no more waits because of its address
    /// than there is room left for all others: none of them can use up the room.
    pub(crate) fn push(
        &self,
        of: Option<ClientNetwork>,
        bytes: usize,
        add: impl FnOnce(&mut Vec<T>),
    ) -> Result<(), Full> {
        let mut state = self.state();
        let room = self.bytes_max - state.bytes;
        if bytes > room {
            return Err(Full);
        }
        if let Some(client) = of.filter(|_| bytes > 0) {
            let waiting = state.of_clients.get(&client).copied().unwrap_or(0) + bytes;
            if waiting > room {
                return Err(Full);
            }
            state.of_clients.insert(client, waiting);
        }
        let was_hurried = self.hurries(&state);
        state.bytes += bytes;
        add(&mut state.waiting);
        let wakes = match state.thread {
            Thread::Idle => true,
            Thread::Rests => !was_hurried && self.hurries(&state),
            Thread::Works => false,
        };
        if state.thread == Thread::Idle {
            state.thread = Thread::Rests;
        }
        drop(state);
        if wakes {
            self.changed.notify_all();
        }
        Ok(())
    }

    /// For the thread: what it took last has been done; waits for more, and gives it all for an
    /// empty `taken`.
    pub(crate) fn next(&self, taken: &mut Vec<T>) {
        let mut state = self.state();
        if state.thread == Thread::Works {
            state = self.rest(state);
        }
        while state.waiting.is_empty() {
            state.thread = Thread::Idle;
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.waiting, taken);
        state.bytes = 0;
        state.of_clients.clear();
        state.thread = Thread::Works;
    }

    /// Lets things gather.
    fn rest<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        state.thread = Thread::Rests;
        if state.flushing > 0 {
            self.changed.notify_all();
        }
        let calm = |state: &mut State<T>| !self.hurries(state);
        let rested = self.changed.wait_timeout_while(state, self.rest, calm);
        rested.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Whether this is no time to rest: somebody waits, or there is soon no more room.
    const fn hurries(&self, state: &State<T>) -> bool {
        state.flushing > 0 || state.bytes > self.bytes_max / 2
    }

    /// Waits until everything has been done, but not for longer than this.
    pub(crate) fn flush(&self, within: Duration) {
        let mut state = self.state();
        state.flushing += 1;
        self.changed.notify_all();
        let busy =
            |state: &mut State<T>| state.thread == Thread::Works || !state.waiting.is_empty();
        let flushed = self.changed.wait_timeout_while(state, within, busy);
        let (mut state, _) = flushed.unwrap_or_else(PoisonError::into_inner);
        state.flushing -= 1;
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // The state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    const LONG: Duration = Duration::from_secs(3600);

    /// A queue whose thread rests for as long as nothing hurries it, and what the thread takes.
    /// It has taken "first".
    fn resting(
        bytes_max: usize,
    ) -> (
        &'static Queue<&'static str>,
        mpsc::Receiver<Vec<&'static str>>,
    ) {
        let queue = Queue {
            rest: LONG,
            ..Queue::new(bytes_max)
        };
        let queue: &'static Queue<&str> = Box::leak(Box::new(queue));
        let (gives, taken) = mpsc::channel();
        thread::spawn(move || {
            loop {
                let mut items = Vec::new();
                queue.next(&mut items);
                if gives.send(items).is_err() {
                    return;
                }
            }
        });
        queue.push(None, 1, |all| all.push("first")).unwrap();
        assert_eq!(taken.recv().unwrap(), ["first"]);
        (queue, taken)
    }

    #[test]
    fn what_comes_while_the_thread_rests_is_taken_together_and_soon_where_somebody_waits() {
        let (queue, taken) = resting(1 << 20);
        queue.push(None, 1, |all| all.push("a")).unwrap();
        queue.push(None, 1, |all| all.push("b")).unwrap();
        queue.flush(LONG);
        assert_eq!(taken.recv().unwrap(), ["a", "b"]);
    }

    #[test]
    fn a_rest_ends_before_there_is_no_more_room() {
        let (queue, taken) = resting(10);
        queue.push(None, 5, |all| all.push("a")).unwrap();
        queue.push(None, 1, |all| all.push("b")).unwrap();
        assert_eq!(taken.recv().unwrap(), ["a", "b"]);
    }

    #[test]
    fn one_client_leaves_room_for_all_others() {
        let client = |n: u8| Some(std::net::IpAddr::from([10, 0, 0, n]).into());
        let queue = Queue::new(100);
        let mut of_one = 0;
        while queue.push(client(1), 1, |all| all.push("one")).is_ok() {
            of_one += 1;
        }
        assert_eq!(of_one, 50, "as much as there is room left");
        assert_eq!(queue.push(client(2), 25, |all| all.push("two")), Ok(()));
        assert_eq!(queue.push(client(1), 1, |all| all.push("one")), Err(Full));
        assert_eq!(queue.push(None, 25, |all| all.push("ours")), Ok(()));
        let mut taken = Vec::new();
        queue.next(&mut taken);
        assert_eq!(queue.push(client(1), 50, |all| all.push("one")), Ok(()));
    }

    #[test]
    fn what_has_no_bytes_is_taken_even_where_there_is_no_room() {
        let queue = Queue::new(3);
        assert_eq!(queue.push(None, 3, |all| all.push("abc")), Ok(()));
        assert_eq!(queue.push(None, 1, |all| all.push("d")), Err(Full));
        assert_eq!(queue.push(None, 0, |all| all.push("")), Ok(()));
        let mut taken = Vec::new();
        queue.next(&mut taken);
        assert_eq!(taken, ["abc", ""]);
        assert_eq!(queue.push(None, 3, |all| all.push("efg")), Ok(()));
    }
}
