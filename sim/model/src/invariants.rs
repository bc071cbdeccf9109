//! What must always hold, one function each. The numbers are those of `docs/simulation.md`.
//!
//! A function gets the ledger of a session and what has just happened, and says what is wrong. Of
//! the list, three numbers have no function yet, because what they are about is not there: 7
//! (passwords appear nowhere but in their login) and 20 (an unknown user and a wrong password look
//! the same) wait for SASL and belong into `login.rs`; 21 (one audit line a denial) waits for the
//! audit and belongs into `audit.rs`. 15 (chunks do not matter) compares whole runs, in
//! `tests/scripts.rs`; 23 (the same seed, the same hash) compares processes, in `sim twice`.

pub(crate) mod bytes;
pub(crate) mod close;
pub(crate) mod deadlines;
pub(crate) mod drain;
pub(crate) mod finishing;
pub(crate) mod leaks;
pub(crate) mod limits;
pub(crate) mod places;
pub(crate) mod policy;
pub(crate) mod produced;
pub(crate) mod ready;
pub(crate) mod responses;
pub(crate) mod stuck;
pub(crate) mod work;

/// What an invariant is about, in few words.
pub(crate) const fn name(number: u8) -> &'static str {
    match number {
        1 => "nothing goes up before a request is there",
        2 => "one response a request",
        3 => "responses in order, with their own ids",
        4 => "bytes are relayed as they are",
        5 => "authorized by the newest policy",
        6 => "no upstream host in a response",
        8 => "nothing of another session",
        9 => "inside the limits",
        10 => "never stuck",
        11 => "all is done once all is well",
        12 => "nothing is left",
        13 => "one true reason to close",
        14 => "a silent client goes",
        16 => "nothing is sent twice",
        17 => "nothing is offered that cannot be authorized",
        18 => "addresses lead back to their broker",
        19 => "a broker gets its own sessions only",
        22 => "no record of a denied topic",
        24 => "work follows the bytes that came",
        25 => "no denied request reaches a broker",
        _ => "unnumbered",
    }
}
