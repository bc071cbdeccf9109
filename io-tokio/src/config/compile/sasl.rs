//! How the clients of a listener log in.

use std::sync::Arc;

use doorkeeper_core::sasl::Mechanism;
use doorkeeper_core::sasl::login::LoginSettings;

use super::super::sasl::ListenerSasl;
use super::super::schema::Listener;
use super::super::tree::Path;
use super::Compiler;
use super::tls::Reader;
use crate::login::Logins;
use crate::login::users::Users;

/// How many frames one login may take: ApiVersions in two versions, SaslHandshake, and more tokens
/// than any mechanism has.
const LOGIN_FRAMES_MAX: usize = 10;

impl Compiler<'_> {
    /// What contradicts itself, or would tell secrets.
    pub(super) fn check_sasl(&mut self, path: &Path, listener: &Listener) {
        let Some(sasl) = &listener.sasl else {
            return;
        };
        let path = path.key("sasl");
        for (i, mechanism) in sasl.mechanisms.iter().enumerate() {
            let path = path.key("mechanisms").index(i);
            if sasl.mechanisms.iter().take(i).any(|it| it == mechanism) {
                self.warning(&path, "is listed twice");
            }
            if listener.tls.is_none() {
                self.sends_secrets(&path, sasl, (*mechanism).into());
            }
        }
        let takes = |wanted: fn(Mechanism) -> bool| {
            let mut mechanisms = sasl.mechanisms.iter();
            mechanisms.any(|it| wanted((*it).into()))
        };
        let takes_tokens = takes(|it| it == Mechanism::OAuthBearer);
        let takes_passwords = takes(|it| it != Mechanism::OAuthBearer);
        for (key, is_there, is_wanted) in [
            ("users_file", sasl.users_file.is_some(), takes_passwords),
            ("oauth", sasl.oauth.is_some(), takes_tokens),
        ] {
            if is_wanted && !is_there {
                self.error(&path, format!("needs {key} for its mechanisms"));
            } else if is_there && !is_wanted {
                self.error(&path.key(key), "is of no use for its mechanisms");
            }
        }
        if let Some(oauth) = &sasl.oauth {
            self.check_oauth(&path, oauth);
        }
    }

    /// Of a mechanism without TLS.
    fn sends_secrets(&mut self, path: &Path, sasl: &ListenerSasl, mechanism: Mechanism) {
        let (what, key, insecure) = match mechanism {
            Mechanism::ScramSha256 | Mechanism::ScramSha512 => return,
            Mechanism::Plain => (
                "passwords",
                "insecure_plain_without_tls",
                sasl.insecure_plain_without_tls,
            ),
            Mechanism::OAuthBearer => (
                "tokens",
                "insecure_oauthbearer_without_tls",
                sasl.insecure_oauthbearer_without_tls,
            ),
        };
        let name = mechanism.name();
        if insecure.is_some() {
            let message =
                format!("{name} without TLS: whoever can read the network has the {what}");
            self.warning(path, message);
        } else {
            let message = format!(
                "{name} without TLS would tell {what} to whoever can read the network: give the \
                 listener tls, or say sasl.{key}: allow"
            );
            self.error(path, message);
        }
    }
}

impl Reader<'_> {
    /// Who may log in to a listener.
    pub(super) fn logins(&mut self, path: &Path, sasl: &ListenerSasl) -> Option<Arc<Logins>> {
        let users = match &sasl.users_file {
            Some(file) => Some(self.users(path, file)?),
            None => None,
        };
        let tokens = match &sasl.oauth {
            Some(oauth) => Some(self.tokens(path, oauth)?),
            None => None,
        };
        Some(Arc::new(Logins {
            users,
            tokens,
            password_change_ends_sessions: sasl.password_change_ends_sessions,
        }))
    }

    fn users(&mut self, path: &Path, file: &str) -> Option<Arc<Users>> {
        let path = path.key("users_file");
        let bytes = self.secret_file(&path, file)?;
        let Ok(text) = str::from_utf8(&bytes) else {
            self.error(&path, format!("{file} is not UTF-8"));
            return None;
        };
        let users = Users::read(text);
        let users = users.map_err(|error| self.error(&path, format!("{file}: {error}")));
        let users = users.ok()?;
        if users.list().next().is_none() {
            self.warning(
                &path,
                format!("nobody can log in: there is no user in {file}"),
            );
        }
        let told: Vec<&str> = users.distinguishable().collect();
        if let Some(first) = told.first() {
            let message = format!(
                "keys of {} users, {first:?} among them, have another salt length or count of \
                 iterations than those of the others, or are of one mechanism only: who tries \
                 names can tell that they exist",
                told.len()
            );
            self.warning(&path, message);
        }
        Some(Arc::new(users))
    }
}

/// As sessions go by it.
pub(super) fn settings(sasl: &ListenerSasl) -> Arc<LoginSettings> {
    let mut mechanisms = Vec::new();
    for mechanism in &sasl.mechanisms {
        let mechanism = (*mechanism).into();
        if !mechanisms.contains(&mechanism) {
            mechanisms.push(mechanism);
        }
    }
    let frame_bytes_max = sasl.frame_bytes_before_login.0;
    Arc::new(LoginSettings {
        mechanisms,
        frame_bytes_max: usize::try_from(frame_bytes_max).unwrap_or(usize::MAX),
        frames_max: LOGIN_FRAMES_MAX,
        login_timeout: sasl.login_timeout.0,
        failure_delay: sasl.failure_delay.0,
        session_lifetime_max: sasl.max_reauth.map(|it| it.0),
    })
}
