//! 19: a broker gets only the sessions that are meant for it.

use doorkeeper_core::Route;
use doorkeeper_core::id::BrokerId;

use crate::watch::{Ledger, Violation};

/// The session was to come to this broker.
pub(crate) fn meant_for(ledger: &Ledger, broker: BrokerId) -> Result<(), Violation> {
    match ledger.route {
        Route::Broker(wanted) if wanted != broker => {
            let what = format!("{} is for broker {wanted} and reached {broker}", ledger.id);
            Err(Violation::of(19, what))
        }
        Route::Broker(_) | Route::Bootstrap => Ok(()),
    }
}
