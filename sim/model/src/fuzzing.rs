//! The bodies of the fuzz targets: what must hold for any bytes whatever.
//!
//! libFuzzer calls them through the one-line targets in `fuzz/`; `tests/corpus.rs` replays
//! `corpus/` through them on every `cargo test`. A body panics when a rule is broken and returns
//! otherwise, whether the bytes made sense or not.

mod canonical;
mod chunks;
mod distinguished_name;
mod driver;
mod edit;
mod first_bytes;
mod framer;
mod mapping_rules;
mod message;
mod proxy_protocol;
mod session;
mod session_bytes;
mod upstream;
mod value;
mod walk;
mod walk_vs_codec;

pub use distinguished_name::distinguished_name;
pub use edit::edit;
pub use first_bytes::first_bytes;
pub use framer::framer;
pub use mapping_rules::mapping_rules;
pub use proxy_protocol::proxy_protocol;
pub use session::session;
pub use session_bytes::session_bytes;
pub use upstream::upstream;
pub use walk::walk;
pub use walk_vs_codec::walk_vs_codec;

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also that of its folder in `corpus/`.
    pub name: &'static str,
    /// What it does with an input.
    pub body: fn(&[u8]),
    /// How much memory it may have at once.
    pub bound: Bound,
}

/// How many bytes may be allocated at once: what is allocated may grow with the bytes that came,
/// never with a length that they claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// For each byte of the input.
    pub per_byte: usize,
    /// Whatever the input is.
    pub floor: usize,
}

const KIB: usize = 1024;

/// The parts of a name and its text, some of them several times.
pub const DISTINGUISHED_NAME: Target = Target {
    name: "distinguished_name",
    body: distinguished_name,
    bound: Bound {
        per_byte: 256,
        floor: 16 * KIB,
    },
};

/// Nothing is allocated but the edits, and the frame twice: as it was and as it comes out.
pub const EDIT: Target = Target {
    name: "edit",
    body: edit,
    bound: Bound {
        per_byte: 64,
        floor: 64 * KIB,
    },
};

/// A session, its snapshot and what it buffers.
pub const FIRST_BYTES: Target = Target {
    name: "first_bytes",
    body: first_bytes,
    bound: Bound {
        per_byte: 64,
        floor: 256 * KIB,
    },
};

/// Frames are kept to be compared, once as they were and once as they were assembled.
pub const FRAMER: Target = Target {
    name: "framer",
    body: framer,
    bound: Bound {
        per_byte: 64,
        floor: 16 * KIB,
    },
};

/// Patterns, each compiled twice to at most a megabyte, and what compiles them.
pub const MAPPING_RULES: Target = Target {
    name: "mapping_rules",
    body: mapping_rules,
    bound: Bound {
        per_byte: 64 * KIB,
        floor: 64 * 1024 * KIB,
    },
};

/// A header that is written again, and the words of a line.
pub const PROXY_PROTOCOL: Target = Target {
    name: "proxy_protocol",
    body: proxy_protocol,
    bound: Bound {
        per_byte: 32,
        floor: KIB,
    },
};

/// A script says in a few bytes what takes kilobytes: values, responses to fetches, and all that
/// the watch remembers of them.
pub const SESSION: Target = Target {
    name: "session",
    body: session,
    bound: Bound {
        per_byte: 32 * KIB,
        floor: 4096 * KIB,
    },
};

/// A session, its snapshot and what it buffers.
pub const SESSION_BYTES: Target = Target {
    name: "session_bytes",
    body: session_bytes,
    bound: Bound {
        per_byte: 64,
        floor: 256 * KIB,
    },
};

/// A session, and responses that are written from a few bytes each: one of them is longer than what
/// is buffered, and is there as its writer has it, as the broker sends it and as the client
/// gets it.
pub const UPSTREAM: Target = Target {
    name: "upstream",
    body: upstream,
    bound: Bound {
        per_byte: 512,
        floor: 512 * KIB,
    },
};

/// The walker allocates nothing.
pub const WALK: Target = Target {
    name: "walk",
    body: walk,
    bound: Bound {
        per_byte: 0,
        floor: 0,
    },
};

/// The values of both readers, and the decoder's text for its own.
pub const WALK_VS_CODEC: Target = Target {
    name: "walk_vs_codec",
    body: walk_vs_codec,
    bound: Bound {
        per_byte: 4 * KIB,
        floor: 64 * KIB,
    },
};

/// All of them.
pub const TARGETS: &[Target] = &[
    DISTINGUISHED_NAME,
    EDIT,
    FIRST_BYTES,
    FRAMER,
    MAPPING_RULES,
    PROXY_PROTOCOL,
    SESSION,
    SESSION_BYTES,
    UPSTREAM,
    WALK,
    WALK_VS_CODEC,
];
