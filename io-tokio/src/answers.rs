//! What answers the questions of sessions.

use std::future::Future;
use std::pin::Pin;

use doorkeeper_core::{Answer, Question};

/// An answer that is being found.
pub type Pending = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Answers the questions of sessions. Injected: where an answer comes from is not the driver's
/// business.
pub trait Answers: Send + Sync + 'static {
    /// Starts to find out. Dropping what it returns means that nobody wants to know any more.
    fn ask(&self, question: Question) -> Pending;
}

/// Knows nothing: no rule that the configuration can state needs the name behind a topic id yet,
/// and a session refuses what depended on an answer that it did not get.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unanswered;

impl Answers for Unanswered {
    fn ask(&self, _question: Question) -> Pending {
        Box::pin(std::future::ready(Answer::Unavailable))
    }
}
