//! All connections, and how long bytes travel.

use std::time::Duration;

use doorkeeper_core::{End, Instant};

use super::channel::ByteChannel;
use crate::script::{Chunk, Direction, Setting};
use doorkeeper_kafka_model::Rng;

/// Names one connection for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkId(usize);

/// One connection: towards the brokers, and towards the clients.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) up: ByteChannel,
    pub(super) down: ByteChannel,
}

impl Link {
    pub(super) fn way(&mut self, way: Direction) -> &mut ByteChannel {
        match way {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    pub(super) fn reset(&mut self, at: Instant) {
        self.up.reset(at);
        self.down.reset(at);
    }

    fn is_over(&self) -> bool {
        self.up.is_over() && self.down.is_over()
    }
}

/// All connections.
#[derive(Debug)]
pub(super) struct Net {
    links: Vec<Link>,
    /// Those that may still move.
    live: Vec<usize>,
    chunk: Chunk,
    latency: Duration,
    jitter_ms: u64,
    window: usize,
}

/// What one read takes at most.
const READ_BYTES: usize = 64 * 1024;

impl Net {
    pub(super) fn new(setting: &Setting) -> Self {
        Self {
            links: Vec::new(),
            live: Vec::new(),
            chunk: setting.chunk,
            latency: Duration::from_millis(setting.latency_ms.into()),
            jitter_ms: setting.jitter_ms.into(),
            window: (setting.window as usize).clamp(1, 1 << 20),
        }
    }

    pub(super) fn open(&mut self) -> LinkId {
        let id = self.links.len();
        self.links.push(Link {
            up: ByteChannel::new(self.window),
            down: ByteChannel::new(self.window),
        });
        self.live.push(id);
        LinkId(id)
    }

    #[expect(clippy::indexing_slicing, reason = "ids are given by `open` alone")]
    pub(super) fn link(&mut self, id: LinkId) -> &mut Link {
        &mut self.links[id.0]
    }

    /// When bytes that are sent now arrive.
    pub(super) fn arrival(&self, now: Instant, rng: &mut Rng) -> Instant {
        let jitter = match self.jitter_ms {
            0 => 0,
            most => rng.below(most + 1),
        };
        now.after(self.latency + Duration::from_millis(jitter))
    }

    /// How many of `most` bytes one read or write moves.
    pub(super) fn piece(&self, most: usize, rng: &mut Rng) -> usize {
        let most = most.min(READ_BYTES);
        let drawn = match self.chunk {
            Chunk::Whole => most,
            Chunk::One => 1,
            Chunk::Any => match rng.below(4) {
                0 => 1,
                1 => 1 + usize::try_from(rng.below(40)).unwrap_or(0),
                2 => 1 + usize::try_from(rng.below(most.max(1) as u64)).unwrap_or(0),
                _ => most,
            },
        };
        drawn.clamp(1, most.max(1))
    }

    /// Lets everything arrive that is due.
    pub(super) fn arrive(&mut self, now: Instant) {
        let links = &mut self.links;
        self.live.retain(|id| {
            let Some(link) = links.get_mut(*id) else {
                return false;
            };
            link.up.arrive(now);
            link.down.arrive(now);
            !link.is_over()
        });
    }

    /// When something arrives next, after now.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        let live = self.live.iter().filter_map(|id| self.links.get(*id));
        live.flat_map(|link| [link.up.next_at(), link.down.next_at()])
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// One side lets go of a connection: what it had written still goes, the rest is over.
    pub(super) fn close(&mut self, id: LinkId, by: Direction, now: Instant, rng: &mut Rng) {
        let at = self.arrival(now, rng);
        let link = self.link(id);
        // A close with bytes that nobody has read resets the connection, as TCP does.
        let (written, read) = match by {
            Direction::Up => (&mut link.up, &mut link.down),
            Direction::Down => (&mut link.down, &mut link.up),
        };
        if read.has_unread() && !read.is_broken() {
            written.reset(at);
        } else {
            written.finish(at);
        }
        read.reset(now);
        // The side that has left learns nothing.
        let _ = read.read(now, 1);
    }

    /// All faults end.
    pub(super) fn heal(&mut self) {
        let window = self.window;
        for id in &self.live {
            if let Some(link) = self.links.get_mut(*id) {
                link.up.heal(window);
                link.down.heal(window);
            }
        }
    }

    /// The connection ends for both sides after so many bytes more of one direction.
    pub(super) fn cut(&mut self, id: LinkId, way: Direction, bytes: usize, how: End) {
        self.link(id).way(way).cut_after(bytes, how);
    }
}
