//! OAUTHBEARER (RFC 7628): a bearer token, and the JSON by which a server says no.

use std::fmt;

use super::failure::LoginFailure;
use crate::secret::Secret;

/// What separates the parts of a message.
const SEPARATOR: char = '\x01';

/// What a client sends after a server's JSON, to end the exchange.
pub const CLIENT_ABORTS: &[u8] = b"\x01";

/// The first message of a client.
#[derive(Clone)]
pub struct BearerMessage {
    /// As whom the client wants to act; empty for itself.
    pub authorization_id: String,
    /// The token, of the characters of RFC 6750.
    pub token: Secret,
    /// What else the client says, in its order (SASL extensions of KIP-342).
    pub extensions: Vec<(String, String)>,
}

/// What a client says besides its token may be as secret.
impl fmt::Debug for BearerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerMessage")
            .field("authorization_id", &self.authorization_id)
            .finish_non_exhaustive()
    }
}

impl BearerMessage {
    /// Reads a client's token by the rules of `OAuthBearerClientInitialResponse`.
    ///
    /// # Errors
    /// It is malformed, or wants channel binding.
    pub fn read(token: &[u8]) -> Result<Self, LoginFailure> {
        let malformed = LoginFailure::MalformedToken;
        let text = str::from_utf8(token).map_err(|_| malformed)?;
        let (header, rest) = text.split_once(SEPARATOR).ok_or(malformed)?;
        let authorization_id = authorization_id(header)?;
        // Each pair ends with a separator, and one more ends the message.
        let pairs = rest.strip_suffix(SEPARATOR).ok_or(malformed)?;
        let pairs = pairs.strip_suffix(SEPARATOR).ok_or(malformed)?;
        let mut token = None;
        let mut extensions: Vec<(String, String)> = Vec::new();
        for pair in pairs.split(SEPARATOR) {
            let (key, value) = pair.split_once('=').ok_or(malformed)?;
            if !is_key(key) || !is_value(value) {
                return Err(malformed);
            }
            if key == "auth" {
                let bearer = bearer(value).ok_or(malformed)?;
                if token.replace(bearer).is_some() {
                    return Err(malformed);
                }
            } else {
                if extensions.iter().any(|(other, _)| other == key) {
                    return Err(malformed);
                }
                extensions.push((key.to_owned(), value.to_owned()));
            }
        }
        Ok(Self {
            authorization_id,
            token: token.ok_or(malformed)?,
            extensions,
        })
    }

    /// The message of a client that acts as itself. Nothing if the token, or what else is said, has
    /// other characters than it may have.
    #[must_use]
    pub fn token(token: &Secret, extensions: &[(String, String)]) -> Option<Secret> {
        let text = str::from_utf8(token.expose()).ok()?;
        let holds = is_bearer_token(text)
            && extensions
                .iter()
                .all(|(key, value)| is_extension(key, value));
        holds.then(|| {
            let mut message = [b"n,,\x01auth=Bearer ", token.expose(), b"\x01"].concat();
            for (key, value) in extensions {
                for part in [key.as_bytes(), b"=", value.as_bytes(), b"\x01"] {
                    message.extend_from_slice(part);
                }
            }
            message.push(b'\x01');
            Secret::new(message)
        })
    }
}

/// The JSON by which a server says that a token does not hold (`invalid_token`), as Kafka's does
/// (`OAuthBearerValidatorCallbackHandler`).
#[must_use]
pub const fn invalid_token() -> &'static str {
    r#"{"status":"invalid_token"}"#
}

/// The authorization id of a GS2 header, `n,[a=saslname],`, as text.
fn authorization_id(header: &str) -> Result<String, LoginFailure> {
    let malformed = LoginFailure::MalformedToken;
    let (binding, rest) = header.split_once(',').ok_or(malformed)?;
    match binding {
        "n" => {}
        "y" => return Err(LoginFailure::ChannelBinding),
        _ if binding.starts_with("p=") => return Err(LoginFailure::ChannelBinding),
        _ => return Err(malformed),
    }
    let name = rest.strip_suffix(',').ok_or(malformed)?;
    if name.is_empty() {
        return Ok(String::new());
    }
    let name = name.strip_prefix("a=").ok_or(malformed)?;
    super::scram::name::decode(name).ok_or(malformed)
}

/// Whether a client may say that besides its token (`OAuthBearerClientInitialResponse`).
#[must_use]
pub fn is_extension(key: &str, value: &str) -> bool {
    is_key(key) && key != "auth" && is_value(value)
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|it| it.is_ascii_alphabetic())
}

fn is_value(value: &str) -> bool {
    let is_allowed = |it: u8| it.is_ascii_graphic() || b" \t\r\n".contains(&it);
    !value.is_empty() && value.bytes().all(is_allowed)
}

/// The token behind `Bearer`, whose case does not matter.
fn bearer(value: &str) -> Option<Secret> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    let holds = scheme.eq_ignore_ascii_case("bearer") && is_bearer_token(token);
    holds.then(|| Secret::new(token.as_bytes()))
}

/// `b64token` of RFC 6750, section 2.1.
fn is_bearer_token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    let is_allowed = |it: u8| it.is_ascii_alphanumeric() || b"-._~+/".contains(&it);
    !body.is_empty() && body.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_read() {
        let message = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
            auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        let read = BearerMessage::read(message).unwrap();
        assert_eq!(read.authorization_id, "user@example.com");
        let token = b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
        assert_eq!(read.token.expose(), token);
        let extensions = [("host", "server.example.com"), ("port", "143")];
        let extensions = extensions.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(read.extensions, extensions);
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        let messages = [
            "",
            "n,,",
            "n,,\x01auth=Bearer abc\x01",
            "n,\x01auth=Bearer abc\x01\x01",
            "n,,\x01auth=Bearer\x01\x01",
            "n,,\x01auth=Basic abc\x01\x01",
            "n,,\x01auth=Bearer a=b\x01\x01",
            "n,,\x01auth=Bearer abc\x01auth=Bearer abd\x01\x01",
            "n,,\x01host=here\x01\x01",
            "n,,\x01ho5t=here\x01auth=Bearer abc\x01\x01",
            "n,,\x01host=h\u{e4}\x01auth=Bearer abc\x01\x01",
            "n,,\x01host=a\x01host=b\x01auth=Bearer abc\x01\x01",
            "n,a=x=y,\x01auth=Bearer abc\x01\x01",
            "z,,\x01auth=Bearer abc\x01\x01",
        ];
        for message in messages {
            let read = BearerMessage::read(message.as_bytes());
            assert_eq!(
                read.unwrap_err(),
                LoginFailure::MalformedToken,
                "{message:?}"
            );
        }
        for message in [
            "y,,\x01auth=Bearer abc\x01\x01",
            "p=tls-unique,,\x01auth=Bearer a\x01\x01",
        ] {
            let read = BearerMessage::read(message.as_bytes());
            assert_eq!(
                read.unwrap_err(),
                LoginFailure::ChannelBinding,
                "{message:?}"
            );
        }
    }

    #[test]
    fn what_a_client_writes_is_read_alike() {
        let token = Secret::new(*b"eyJhbGciOiJub25lIn0.e30.");
        let message = BearerMessage::token(&token, &[]).unwrap();
        let read = BearerMessage::read(message.expose()).unwrap();
        assert_eq!(read.token.expose(), token.expose());
        assert!(read.authorization_id.is_empty() && read.extensions.is_empty());
        assert!(BearerMessage::token(&Secret::new(*b"a b"), &[]).is_none());
    }
}
