//! 2, while doorkeeper stops: no further request is taken, and owed answers are given.

use doorkeeper_core::Session;

use crate::watch::{Ledger, Violation};

/// A session that drains does not read its client.
pub(crate) fn takes_no_request(ledger: &Ledger, session: &Session) -> Result<(), Violation> {
    if ledger.facts.drain.is_some() && session.demand().read_client {
        let what = format!("{} takes requests while it drains", ledger.id);
        return Err(Violation::of(2, what));
    }
    Ok(())
}
