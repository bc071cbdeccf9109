//! Logins: whoever a session asks what a client's token is worth, and for tokens of its own.
//!
//! Core says what the tokens of a mechanism mean and what has to be known of them; here it is found
//! out. Passwords and keys stay here: a session never sees more than a decision.

mod broker;
mod client;
pub mod identities;
mod passwords;
pub mod users;

use std::sync::Arc;

use users::Users;

pub(crate) use broker::BrokerLogin;
pub(crate) use client::ClientLogin;
pub(crate) use passwords::PasswordChecks;

/// What the clients of a listener log in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logins {
    /// Who may log in by a password.
    pub users: Arc<Users>,
}
