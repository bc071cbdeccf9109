//! The editors of a response, which take turns on one walk over it.

use crate::api::versions::ApiRanges;
use crate::api::{Editing, ResponseForm};
use crate::rewrite::Outcome;
use crate::rewrite::configs::Configs;
use crate::rewrite::endpoints::Endpoints;
use crate::rewrite::tail::Tail;
use crate::rewrite::texts::Texts;
use crate::session::topic_authorization::{DenialInjector, DeniedTopics};
use crate::snapshot::Snapshot;
use crate::wire::malformed::Malformed;
use crate::wire::rope::Rope;
use crate::wire::walk::Step;

/// Edits one response while it is walked.
trait Editor {
    /// Takes in one step of the walk.
    fn step(&mut self, step: &Step, frame: &Rope, snapshot: &Snapshot, out: &mut Outcome);
}

/// Those of one response, in the order of their turns. They are fields and no vector because each
/// step of a walk meets all of them: nothing is allocated for them, and none is called by a
/// pointer.
#[derive(Debug)]
pub(super) struct Editors {
    /// Adds what was denied of the request.
    denials: Option<DenialInjector>,
    /// Edits what the row of the API says.
    fields: Fields,
    /// Hides addresses in error messages.
    texts: Option<Texts>,
}

/// The editor that the row of an API asks for.
#[derive(Debug)]
enum Fields {
    /// Replaces endpoints of brokers.
    Endpoints(Endpoints),
    /// Blanks endpoints behind the records without a change of length.
    Tail(Tail),
    /// Hides configs of brokers.
    Configs(Configs),
    /// Cuts the ranges of versions to those that are offered.
    Versions(ApiRanges),
}

impl Editors {
    /// As the row of the API says, for a response that is buffered, or one that is streamed: of
    /// that nothing may become longer or shorter once its length has been sent.
    pub(super) fn of(
        form: &ResponseForm,
        is_streamed: bool,
        denied: Option<Box<DeniedTopics>>,
    ) -> Self {
        let compact = form.is_flexible();
        let endpoints = |coordinator| Fields::Endpoints(Endpoints::new(compact, coordinator));
        let fields = match (form.row.editing, is_streamed) {
            (Editing::Versions, _) => Fields::Versions(ApiRanges::new(compact)),
            (Editing::Configs, false) => Fields::Configs(Configs::new(compact)),
            (Editing::Configs, true) => Fields::Configs(Configs::in_place()),
            (Editing::Addresses, false) => endpoints(false),
            (Editing::Coordinators, false) => endpoints(true),
            (Editing::Addresses | Editing::Coordinators, true) => Fields::Tail(Tail::default()),
        };
        let texts = if is_streamed {
            Texts::Overwritten
        } else {
            Texts::Replaced { compact }
        };
        Self {
            denials: denied.map(DenialInjector::new),
            fields,
            texts: (form.row.editing != Editing::Versions).then_some(texts),
        }
    }

    /// Each takes in one step of the walk, in its turn.
    #[inline]
    pub(super) fn step(
        &mut self,
        step: &Step,
        frame: &Rope,
        snapshot: &Snapshot,
        out: &mut Outcome,
    ) {
        let Self {
            denials,
            fields,
            texts,
        } = self;
        denials.step(step, frame, snapshot, out);
        fields.step(step, frame, snapshot, out);
        texts.step(step, frame, snapshot, out);
    }

    /// Whether one of them needs the frame to its end, although the walk is over.
    pub(super) fn need_end(&self) -> bool {
        matches!(&self.fields, Fields::Tail(tail) if tail.needs_end())
    }

    /// The whole frame is there.
    pub(super) fn finish(&mut self, frame: &Rope, out: &mut Outcome) -> Result<(), Malformed> {
        if let Fields::Tail(tail) = &mut self.fields {
            tail.finish(frame, out)?;
        }
        Ok(())
    }

    /// The memory of what they have yet to add.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.denials
            .as_ref()
            .map_or(0, DenialInjector::buffered_bytes)
    }
}

impl<E: Editor> Editor for Option<E> {
    #[inline]
    fn step(&mut self, step: &Step, frame: &Rope, snapshot: &Snapshot, out: &mut Outcome) {
        if let Some(editor) = self {
            editor.step(step, frame, snapshot, out);
        }
    }
}

impl Editor for DenialInjector {
    #[cold]
    #[inline(never)]
    fn step(&mut self, step: &Step, frame: &Rope, _: &Snapshot, out: &mut Outcome) {
        Self::step(self, step, frame, out);
    }
}

impl Editor for Texts {
    #[inline]
    fn step(&mut self, step: &Step, frame: &Rope, snapshot: &Snapshot, out: &mut Outcome) {
        Self::step(*self, step, frame, &snapshot.known_hosts, out);
    }
}

impl Editor for Fields {
    #[inline]
    fn step(&mut self, step: &Step, frame: &Rope, snapshot: &Snapshot, out: &mut Outcome) {
        match self {
            Self::Endpoints(endpoints) => endpoints.step(step, frame, &snapshot.addresses(), out),
            Self::Tail(tail) => tail.step(step, out),
            Self::Configs(configs) => configs.step(step, frame, &snapshot.known_hosts, out),
            Self::Versions(ranges) => {
                ranges.step(step, |api| snapshot.offered(api), &mut out.edits);
            }
        }
    }
}
