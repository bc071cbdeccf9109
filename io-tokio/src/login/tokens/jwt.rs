//! A signed JWT in its compact form (RFC 7515, RFC 7519), read strictly and not believed yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorkeeper_core::sasl::failure::LoginFailure;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::strict_json;

/// Parts of a header without which a token means something else: those that understand them would
/// see another token. Compression and encryption, a payload as it is (RFC 7797), and whatever
/// `crit` says must be understood.
const NOT_UNDERSTOOD: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// A token whose signature has not been verified.
pub(super) struct Jwt<'a> {
    pub(super) algorithm: Algorithm,
    /// Which key has signed it.
    pub(super) key_id: Option<String>,
    pub(super) claims: Map<String, Value>,
    /// What is signed.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// Takes a token apart. `typ` is of no interest, and neither are keys that come with a token.
    ///
    /// # Errors
    /// It is no such token, or signed by an algorithm that we do not have: `none` and those with a
    /// shared key are never among them.
    pub(super) fn read(token: &'a [u8]) -> Result<Self, LoginFailure> {
        let malformed = LoginFailure::TokenMalformed;
        let text = str::from_utf8(token).map_err(|_| malformed)?;
        let (signed, signature) = text.rsplit_once('.').ok_or(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(malformed)?;
        // A further dot is no base64.
        let header = part(header).and_then(|it| strict_json::object(&it));
        let header = header.ok_or(malformed)?;
        if NOT_UNDERSTOOD.iter().any(|it| header.contains_key(*it)) {
            return Err(malformed);
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(key_id)) => Some(key_id.clone()),
            Some(_) => return Err(malformed),
        };
        let algorithm = header.get("alg").and_then(Value::as_str);
        let algorithm = Algorithm::by_name(algorithm.ok_or(malformed)?);
        let claims = part(claims).and_then(|it| strict_json::object(&it));
        Ok(Self {
            algorithm: algorithm.ok_or(LoginFailure::TokenAlgorithm)?,
            key_id,
            claims: claims.ok_or(malformed)?,
            signed: signed.as_bytes(),
            signature: part(signature).ok_or(malformed)?,
        })
    }
}

/// Base64 without padding, in the one way in which these bytes are written.
pub(super) fn part(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
