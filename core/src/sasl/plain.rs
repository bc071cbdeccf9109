//! PLAIN (RFC 4616): `[authzid] NUL authcid NUL passwd`.

use super::failure::LoginFailure;
use crate::secret::Secret;

/// The only message of the mechanism.
#[derive(Clone, Debug)]
pub struct PlainMessage {
    /// As whom the client wants to act; empty for itself.
    pub authorization_id: String,
    /// Who it says it is.
    pub username: String,
    /// Its password, not empty.
    pub password: Secret,
}

impl PlainMessage {
    /// Reads a client's token, as strictly as `PlainSaslServer.extractTokens`: three parts, a user
    /// name and a password that are not empty. Kafka replaces what is no UTF-8, so that several
    /// passwords become one; here it is malformed.
    ///
    /// # Errors
    /// [`LoginFailure::MalformedToken`].
    pub fn read(token: &[u8]) -> Result<Self, LoginFailure> {
        let malformed = LoginFailure::MalformedToken;
        let text = str::from_utf8(token).map_err(|_| malformed)?;
        let mut parts = text.split('\0');
        let (Some(authorization_id), Some(username), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed);
        };
        if username.is_empty() || password.is_empty() {
            return Err(malformed);
        }
        Ok(Self {
            authorization_id: authorization_id.to_owned(),
            username: username.to_owned(),
            password: Secret::new(password.as_bytes()),
        })
    }

    /// The token of a client that acts as itself. Nothing if one of both is empty or has a NUL.
    #[must_use]
    pub fn token(username: &str, password: &Secret) -> Option<Secret> {
        let is_sendable = |part: &[u8]| !part.is_empty() && !part.contains(&0);
        let parts = [username.as_bytes(), password.expose()];
        if !parts.into_iter().all(is_sendable) {
            return None;
        }
        let [username, password] = parts;
        Some(Secret::new([b"\0", username, b"\0", password].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_three_parts() {
        let read = PlainMessage::read(b"\0tim\0tanstaaftanstaaf").unwrap();
        assert_eq!((&*read.authorization_id, &*read.username), ("", "tim"));
        assert_eq!(read.password.expose(), b"tanstaaftanstaaf");
        let read = PlainMessage::read(b"Ursel\0Kurt\0xipj3plmq").unwrap();
        assert_eq!(read.authorization_id, "Ursel");
    }

    #[test]
    fn what_is_not_three_parts_is_malformed() {
        let tokens: [&[u8]; 8] = [
            b"",
            b"tim",
            b"\0tim",
            b"\0\0password",
            b"\0tim\0",
            b"\0tim\0pass\0word",
            b"\0tim\0password\0",
            b"\0tim\0\xff\xfe",
        ];
        for token in tokens {
            let read = PlainMessage::read(token);
            assert_eq!(read.unwrap_err(), LoginFailure::MalformedToken, "{token:?}");
        }
    }

    #[test]
    fn what_a_client_writes_is_read_alike() {
        let password = Secret::new("pä\u{df}".as_bytes());
        let token = PlainMessage::token("tim", &password).unwrap();
        let read = PlainMessage::read(token.expose()).unwrap();
        assert_eq!((&*read.authorization_id, &*read.username), ("", "tim"));
        assert_eq!(read.password.expose(), password.expose());
        assert!(PlainMessage::token("", &password).is_none());
        assert!(PlainMessage::token("tim", &Secret::new(*b"a\0b")).is_none());
    }
}
