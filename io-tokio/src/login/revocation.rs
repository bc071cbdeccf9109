//! Whether a client that has logged in could still do so as it has, by what is in force now.

use doorkeeper_core::error::Revocation;
use doorkeeper_core::policy::Principal;
use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::login::LoginSettings;
use doorkeeper_core::sasl::scram::credential::ScramCredential;

use super::Logins;
use super::client::USER;

/// How a client has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoggedIn {
    /// By what.
    pub(crate) mechanism: Mechanism,
    /// As whom.
    pub(crate) principal: Principal,
}

/// Why a login does not hold any more, if it does not. `before` is what the client has logged in
/// with: another password is seen by that alone.
pub(crate) fn revokes_login(
    login: &LoggedIn,
    settings: Option<&LoginSettings>,
    before: Option<&Logins>,
    now: Option<&Logins>,
) -> Option<Revocation> {
    // Where nobody has to log in, nobody is who he logged in as.
    let Some(settings) = settings else {
        return Some(Revocation::PrincipalChanged);
    };
    if !settings.mechanisms.contains(&login.mechanism) {
        return Some(Revocation::MechanismRemoved);
    }
    let Some(now) = now else {
        return Some(Revocation::MechanismRemoved);
    };
    if login.mechanism == Mechanism::OAuthBearer {
        // Its holder is in no file, and its lifetime bounds that of the login.
        return now.tokens.is_none().then_some(Revocation::MechanismRemoved);
    }
    let valid = keys(now, login);
    if valid.is_none() {
        return Some(Revocation::UserRemoved);
    }
    let was_other = before.is_some_and(|before| keys(before, login) != valid);
    (was_other && now.password_change_ends_sessions).then_some(Revocation::PasswordChanged)
}

/// The keys that the login of a user is verified by, if it has any.
fn keys<'a>(logins: &'a Logins, login: &LoggedIn) -> Option<&'a ScramCredential> {
    let name = login.principal.as_str().strip_prefix(USER)?;
    logins.users.as_ref()?.keys_by(name, login.mechanism)
}
