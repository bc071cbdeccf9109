//! 2, while doorkeeper stops: no further request is taken, and owed responses are given.

use doorkeeper_core::{Leg, Session};

use crate::watch::{Ledger, Violation};

/// A session that drains reads no more of its client than the rest of a request that has begun.
pub(crate) fn takes_no_request(ledger: &Ledger, session: &Session) -> Result<(), Violation> {
    let drains = ledger.facts.drain.is_some() && !session.is_closing();
    if drains && session.demand().read_client && ledger.rest_of(Leg::Client).is_empty() {
        let what = format!("{} takes requests while it drains", ledger.id);
        return Err(Violation::of(2, what));
    }
    Ok(())
}
