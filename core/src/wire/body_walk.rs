//! A body on its way through the walker, header first, in chunks of any size.

use crate::id::ApiVersion;
use crate::wire::header::{HeaderEnd, PREFIX_BYTES, REQUEST_HEAD_BYTES};
use crate::wire::malformed::Malformed;
use crate::wire::schema::{Api, Edition, Roles};
use crate::wire::walk::{Step, Walker};

/// Where the variable part of a request's header begins.
pub(crate) const REQUEST_HEAD_END: usize = PREFIX_BYTES + REQUEST_HEAD_BYTES;

/// Walks one frame's header and then its body.
#[derive(Debug)]
pub(crate) struct BodyWalk {
    header: HeaderEnd,
    /// Nothing where the table does not have the version.
    edition: Option<&'static Edition>,
    version: i16,
    interest: Roles,
    frame_len: usize,
    /// Bytes of the frame that have been walked.
    at: usize,
    walker: Option<Walker>,
}

impl BodyWalk {
    /// For a request of which the fixed head has been read.
    pub(crate) fn of_request(
        entry: &Api,
        version: ApiVersion,
        interest: Roles,
        frame_len: usize,
    ) -> Self {
        let edition = entry.request.edition(version.0);
        let flexible = edition.is_some_and(|edition| edition.flexible.contains(version.0));
        let rest = frame_len.saturating_sub(REQUEST_HEAD_END);
        let header = HeaderEnd::of_request(flexible, rest);
        Self::new(
            edition,
            version.0,
            interest,
            header,
            REQUEST_HEAD_END,
            frame_len,
        )
    }

    /// For a frame of which the fixed head, `head_len` bytes with the prefix, has been read.
    pub(crate) fn new(
        edition: Option<&'static Edition>,
        version: i16,
        interest: Roles,
        header: HeaderEnd,
        head_len: usize,
        frame_len: usize,
    ) -> Self {
        Self {
            header,
            edition,
            version,
            interest,
            frame_len,
            at: head_len,
            walker: None,
        }
    }

    /// Walks a frame that is there to its end: `input` is what stands behind the fixed head.
    #[inline(never)]
    pub(crate) fn whole(
        mut self,
        mut input: &[u8],
        take: &mut dyn FnMut(&Step),
    ) -> Result<(), Malformed> {
        loop {
            let step = self.step(&mut input)?;
            take(&step);
            match step {
                Step::Done { .. } => return Ok(()),
                Step::More => return Err(Malformed::Truncated),
                Step::Value(_)
                | Step::Begin { .. }
                | Step::Array { .. }
                | Step::Element { .. }
                | Step::ElementEnd { .. }
                | Step::ArrayEnd { .. }
                | Step::Tags { .. }
                | Step::Tagged { .. }
                | Step::TaggedEnd { .. } => {}
            }
        }
    }

    /// The next step, with offsets in the frame.
    pub(crate) fn step(&mut self, input: &mut &[u8]) -> Result<Step, Malformed> {
        let before = input.len();
        if self.walker.is_none() {
            let done = self.header.step(input)?;
            self.at += before - input.len();
            if !done {
                return if self.at < self.frame_len {
                    Ok(Step::More)
                } else {
                    Err(Malformed::Truncated)
                };
            }
            self.walker = self.edition.and_then(|edition| {
                let place = self.at..self.frame_len.max(self.at);
                Walker::of(edition, self.version, place, self.interest)
            });
        }
        match &mut self.walker {
            Some(walker) => walker.step(input),
            // Versions are checked against the table before a body is walked; one that has no
            // schema all the same cannot be read.
            None => Err(Malformed::Truncated),
        }
    }
}
