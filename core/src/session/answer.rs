//! An answer that may carry addresses, on its way through the walker and the editors.

use crate::api::versions::ApiRanges;
use crate::api::{API_VERSIONS, DESCRIBE_CONFIGS, FIND_COORDINATOR};
use crate::id::{ApiKey, ApiVersion};
use crate::rewrite::configs::Configs;
use crate::rewrite::endpoints::Endpoints;
use crate::rewrite::tail::Tail;
use crate::rewrite::{Outcome, texts};
use crate::session::body::BodyWalk;
use crate::session::refusal::{Refused, Teller};
use crate::shared::Shared;
use crate::wire::edit::lengthened;
use crate::wire::malformed::Malformed;
use crate::wire::rope::Rope;
use crate::wire::schema::Role;
use crate::wire::walk::Step;

/// An answer whose body is being read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) api: ApiKey,
    pub(super) version: ApiVersion,
    pub(super) frame_len: usize,
    walk: BodyWalk,
    compact: bool,
    editor: Editor,
    /// Tells of what was refused of the request.
    teller: Option<Teller>,
    outcome: Outcome,
    /// The walk is over; only [`Tail`] still waits for the end of the frame.
    walked: bool,
    /// In a followed answer: from where on the frame is held. All else passes as it comes.
    hold_from: Option<usize>,
    /// The records have passed: all that follows is held.
    in_tail: bool,
    growth: isize,
}

/// Who edits what is found.
#[derive(Debug)]
enum Editor {
    Endpoints(Endpoints),
    Configs(Configs),
    Versions(ApiRanges),
    /// The answer is followed: its length has been told, and nothing may change it.
    Tail(Tail),
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Everything up to here may go on; the rest must still be held.
    Release(usize),
    /// All that is held may go on, edited, and the rest as it comes.
    Done,
}

impl Answer {
    /// An answer that is held until all its addresses have been read.
    pub(super) fn held(
        api: ApiKey,
        version: ApiVersion,
        frame_len: usize,
        walk: BodyWalk,
        compact: bool,
    ) -> Self {
        let editor = match api {
            API_VERSIONS => Editor::Versions(ApiRanges::new(compact)),
            DESCRIBE_CONFIGS => Editor::Configs(Configs::new(compact)),
            _ => Editor::Endpoints(Endpoints::new(compact, api == FIND_COORDINATOR)),
        };
        Self {
            api,
            version,
            frame_len,
            walk,
            compact,
            editor,
            teller: None,
            outcome: Outcome::default(),
            walked: false,
            hold_from: Some(0),
            in_tail: false,
            growth: 0,
        }
    }

    /// An answer of records that passes while it is read.
    pub(super) fn followed(
        api: ApiKey,
        version: ApiVersion,
        frame_len: usize,
        walk: BodyWalk,
    ) -> Self {
        let editor = Editor::Tail(Tail::default());
        let held = Self::held(api, version, frame_len, walk, true);
        Self {
            editor,
            hold_from: None,
            ..held
        }
    }

    /// This answer, which has to tell of a refusal besides: a followed one is held as well until
    /// its length is certain.
    pub(super) fn telling(mut self, refused: Option<Box<Refused>>) -> Self {
        if let Some(refused) = refused {
            self.teller = Some(Teller::new(refused));
            self.hold_from = Some(0);
        }
        self
    }

    /// A followed answer has been told how long it becomes, before any of it went on.
    fn length_is_certain(&mut self) {
        if matches!(self.editor, Editor::Tail(_)) {
            let edits = std::mem::take(&mut self.outcome.edits);
            self.growth = edits.growth();
            self.outcome.edits = lengthened(edits, self.frame_len);
            self.hold_from = None;
        }
    }

    /// How much longer than it came a followed answer has been said to be.
    pub(super) fn growth(&self) -> isize {
        self.growth
    }

    /// Reads on in bytes that are at the end of `frame`.
    pub(super) fn read(
        &mut self,
        mut input: &[u8],
        frame: &Rope,
        shared: &Shared,
    ) -> Result<Progress, Malformed> {
        let is_whole = frame.end() == self.frame_len;
        while !self.walked {
            let step = self.walk.step(&mut input)?;
            self.edit(&step, frame, shared);
            match step {
                Step::Done { .. } => self.walked = true,
                Step::More if is_whole => return Err(Malformed::Truncated),
                Step::More => return Ok(self.release(frame)),
                Step::Begin { .. }
                | Step::Value(_)
                | Step::Array { .. }
                | Step::Element { .. }
                | Step::ElementEnd { .. }
                | Step::ArrayEnd { .. }
                | Step::Tags { .. }
                | Step::Tagged { .. }
                | Step::TaggedEnd { .. } => {}
            }
        }
        if let Editor::Tail(tail) = &mut self.editor
            && tail.needs_end()
        {
            if !is_whole {
                return Ok(self.release(frame));
            }
            tail.finish(frame, &mut self.outcome)?;
        }
        Ok(Progress::Done)
    }

    /// All changes, once everything has been read. What an answer that was held has grown by
    /// must still be added to its length.
    pub(super) fn into_outcome(mut self) -> Outcome {
        self.outcome.edits.settle_sizes();
        self.outcome
    }

    /// Whether its length was told before its end was read.
    pub(super) const fn is_followed(&self) -> bool {
        matches!(self.editor, Editor::Tail(_))
    }

    /// The changes so far, in a followed answer.
    pub(super) fn outcome(&mut self) -> &mut Outcome {
        &mut self.outcome
    }

    fn release(&self, frame: &Rope) -> Progress {
        Progress::Release(self.hold_from.unwrap_or_else(|| frame.end()))
    }

    fn edit(&mut self, step: &Step, frame: &Rope, shared: &Shared) {
        let (base, with) = (self.walk.body_at(), &shared.addresses());
        if let Some(teller) = &mut self.teller
            && teller.step(step, base, frame, &mut self.outcome.edits)
        {
            self.length_is_certain();
        }
        let (out, compact) = (&mut self.outcome, self.compact);
        match &mut self.editor {
            Editor::Endpoints(endpoints) => endpoints.step(step, base, frame, with, out),
            Editor::Configs(configs) => configs.step(step, base, frame, with.known_hosts, out),
            Editor::Versions(ranges) => {
                ranges.step(step, base, &|api| shared.row(api), &mut out.edits);
            }
            Editor::Tail(tail) => {
                tail.step(step, base, out);
                texts::step_in_place(step, base, frame, with.known_hosts, out);
                self.hold_while_undecided(step, base);
                return;
            }
        }
        texts::step(step, base, frame, with.known_hosts, compact, out);
    }

    /// In a followed answer a text is held while it is read, and everything behind the records
    /// to the end.
    fn hold_while_undecided(&mut self, step: &Step, base: usize) {
        match step {
            Step::ArrayEnd { field, at } if field.role == Role::Topics => {
                self.in_tail = true;
                self.hold_from = Some(base + at);
            }
            Step::Begin { field, at } if field.role == Role::ErrorMessage && !self.in_tail => {
                self.hold_from = Some(base + at);
            }
            Step::Value(found)
                if found.role == Role::ErrorMessage
                    && !self.in_tail
                    // The length of an answer that has to tell of a refusal is not certain yet.
                    && self.hold_from != Some(0) =>
            {
                self.hold_from = None;
            }
            Step::More
            | Step::Begin { .. }
            | Step::Value(_)
            | Step::Array { .. }
            | Step::Element { .. }
            | Step::ElementEnd { .. }
            | Step::ArrayEnd { .. }
            | Step::Tags { .. }
            | Step::Tagged { .. }
            | Step::TaggedEnd { .. }
            | Step::Done { .. } => {}
        }
    }
}
