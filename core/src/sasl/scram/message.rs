//! The four messages of an exchange, read as they were sent.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::name;
use crate::sasl::failure::LoginFailure;
use crate::secret::Secret;

const MALFORMED: LoginFailure = LoginFailure::MalformedToken;

/// `client-first-message`: `n,[a=saslname],n=saslname,r=nonce[,extensions]`.
#[derive(Clone, Debug)]
pub(super) struct ClientFirst {
    /// With its comma at the end: what the client repeats in `c=`.
    pub(super) gs2_header: String,
    pub(super) authorization_id: String,
    /// All behind the header.
    pub(super) bare: String,
    pub(super) username: String,
    pub(super) nonce: String,
    /// Whether it says `tokenauth=true` (KIP-48): the user name is the id of a delegation token.
    pub(super) is_delegation_token: bool,
}

impl ClientFirst {
    pub(super) fn read(token: &[u8]) -> Result<Self, LoginFailure> {
        let text = str::from_utf8(token).map_err(|_| MALFORMED)?;
        let (binding, rest) = text.split_once(',').ok_or(MALFORMED)?;
        match binding {
            "n" => {}
            "y" => return Err(LoginFailure::ChannelBinding),
            _ if binding.starts_with("p=") => return Err(LoginFailure::ChannelBinding),
            _ => return Err(MALFORMED),
        }
        let (authorization_id, bare) = rest.split_once(',').ok_or(MALFORMED)?;
        let authorization_id = if authorization_id.is_empty() {
            String::new()
        } else {
            let encoded = authorization_id.strip_prefix("a=").ok_or(MALFORMED)?;
            name::decode(encoded).ok_or(MALFORMED)?
        };
        let mut attributes = bare.split(',');
        let username = attributes.next().unwrap_or_default();
        if username.starts_with("m=") {
            return Err(LoginFailure::UnsupportedExtension);
        }
        let username = username.strip_prefix("n=").ok_or(MALFORMED)?;
        let username = name::decode(username).ok_or(MALFORMED)?;
        let nonce = attributes.next().and_then(|it| it.strip_prefix("r="));
        let nonce = nonce.filter(|it| is_nonce(it)).ok_or(MALFORMED)?;
        let mut is_delegation_token = false;
        for extension in attributes {
            let (key, value) = extension.split_once('=').ok_or(MALFORMED)?;
            if key.is_empty() || value.is_empty() {
                return Err(MALFORMED);
            }
            // `ScramLoginModule.TOKEN_AUTH_CONFIG`, read as `Boolean.parseBoolean` does.
            is_delegation_token |= key == "tokenauth" && value.eq_ignore_ascii_case("true");
        }
        Ok(Self {
            gs2_header: text
                .get(..text.len() - bare.len())
                .unwrap_or_default()
                .to_owned(),
            authorization_id,
            bare: bare.to_owned(),
            username,
            nonce: nonce.to_owned(),
            is_delegation_token,
        })
    }
}

/// `client-final-message`: `c=binding,r=nonce[,extensions],p=proof`.
#[derive(Clone, Debug)]
pub(super) struct ClientFinal {
    /// All but `,p=proof`.
    pub(super) without_proof: String,
    /// What `c=` is the base64 of.
    pub(super) binding: Vec<u8>,
    pub(super) nonce: String,
    pub(super) proof: Secret,
}

impl ClientFinal {
    pub(super) fn read(token: &[u8]) -> Result<Self, LoginFailure> {
        let text = str::from_utf8(token).map_err(|_| MALFORMED)?;
        // The proof stands last, and base64 has no comma.
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(MALFORMED)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|it| it.strip_prefix("c="));
        let nonce = attributes.next().and_then(|it| it.strip_prefix("r="));
        let (Some(binding), Some(nonce)) = (binding, nonce) else {
            return Err(MALFORMED);
        };
        if attributes.any(|it| it.split_once('=').is_none_or(|(key, _)| key.is_empty())) {
            return Err(MALFORMED);
        }
        Ok(Self {
            without_proof: without_proof.to_owned(),
            binding: BASE64.decode(binding).map_err(|_| MALFORMED)?,
            nonce: nonce.to_owned(),
            proof: Secret::new(BASE64.decode(proof).map_err(|_| MALFORMED)?),
        })
    }
}

/// `server-first-message`: `r=nonce,s=salt,i=iterations[,extensions]`.
#[derive(Clone)]
pub(super) struct ServerFirst {
    pub(super) nonce: String,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

/// The salt of a user is for nobody.
impl fmt::Debug for ServerFirst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerFirst")
            .field("nonce", &self.nonce)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl ServerFirst {
    pub(super) fn write(&self) -> String {
        let (salt, iterations) = (BASE64.encode(&self.salt), self.iterations);
        format!("r={},s={salt},i={iterations}", self.nonce)
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let mut attributes = text.split(',');
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let salt = attributes.next()?.strip_prefix("s=")?;
        let iterations = attributes.next()?.strip_prefix("i=")?;
        if !iterations.bytes().all(|it| it.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            nonce: nonce.to_owned(),
            salt: BASE64.decode(salt).ok()?,
            iterations: iterations.parse().ok()?,
        })
    }
}

/// What a client says before its proof: the header that it began with, and both nonces.
pub(super) fn client_final_without_proof(gs2_header: &str, nonce: &str) -> String {
    format!("c={},r={nonce}", BASE64.encode(gs2_header))
}

/// An attribute of one letter with bytes.
pub(super) fn attribute(letter: char, bytes: &[u8]) -> String {
    format!("{letter}={}", BASE64.encode(bytes))
}

/// The bytes of an attribute of one letter.
pub(super) fn read_attribute(letter: char, text: &str) -> Option<Vec<u8>> {
    let encoded = text.strip_prefix(letter)?.strip_prefix('=')?;
    BASE64.decode(encoded).ok()
}

/// Printable ASCII but for commas (`printable` of RFC 5802), not empty.
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_graphic() && it != b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_print_neither_salt_nor_proof() {
        let (text, proof) = ("r=abc,s=c2FsdHk=,i=4096", "c=biws,r=abc,p=cHJvb2Y=");
        let printed = [
            format!("{:?}", ServerFirst::read(text).unwrap()),
            format!("{:?}", ClientFinal::read(proof.as_bytes()).unwrap()),
        ]
        .concat();
        for secret in [&b"salty"[..], b"proof"] {
            let bytes = format!("{secret:?}");
            let inside = bytes.trim_matches(['[', ']']);
            assert!(!printed.contains(inside), "{printed}");
        }
    }
}
