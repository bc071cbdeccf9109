//! Logins: whoever a session asks what a client's token is worth, and for tokens of its own.
//!
//! Core says what the tokens of a mechanism mean and what has to be known of them; here it is found
//! out. Passwords and keys stay here: a session never sees more than a decision.

mod broker;
mod check;
mod client;
pub mod identities;
mod passwords;
mod revocation;
pub mod tokens;
pub mod users;

use std::sync::Arc;

use tokens::Tokens;
use users::Users;

pub(crate) use broker::BrokerLogin;
pub(crate) use client::ClientLogin;
pub(crate) use passwords::PasswordChecks;
pub(crate) use revocation::{LoggedIn, revokes_login};
pub(crate) use tokens::TokenChecks;

/// What the clients of a listener log in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logins {
    /// Who may log in by a password, if anybody may.
    pub users: Option<Arc<Users>>,
    /// What bearer tokens are verified by, if they are taken.
    pub tokens: Option<Arc<Tokens>>,
    /// Whether the sessions of a user end when its password is changed.
    pub password_change_ends_sessions: bool,
}

/// Whoever verifies credentials, for all sessions of a process.
#[derive(Clone, Debug)]
pub(crate) struct Verifiers {
    pub(crate) passwords: PasswordChecks,
    pub(crate) tokens: TokenChecks,
}
