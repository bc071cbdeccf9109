//! The public keys by which tokens are verified (RFC 7517).

use std::fmt;

use aws_lc_rs::signature::{ParsedPublicKey, RsaPublicKeyComponents};
use doorkeeper_core::sasl::failure::LoginFailure;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Family};
use super::jwt::{Jwt, part};
use super::strict_json;

/// Who has more keys than this has mistaken something for them.
const KEYS_MAX: usize = 100;

/// The bits of an RSA modulus. A longer one would make each login expensive.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Longer exponents make a verification slow, and nobody has them.
const RSA_EXPONENT_BYTES_MAX: usize = 4;

/// Keys that tokens may be verified by.
#[derive(PartialEq, Eq)]
pub struct Jwks(Vec<Key>);

/// One key, for the algorithms that it is for.
struct Key {
    id: Option<String>,
    algorithms: Vec<(Algorithm, ParsedPublicKey)>,
}

impl Key {
    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.iter().any(|(it, _)| *it == algorithm)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let of = |key: &Self| -> Vec<(Algorithm, Vec<u8>)> {
            let all = key.algorithms.iter();
            all.map(|(algorithm, key)| (*algorithm, key.as_ref().to_vec()))
                .collect()
        };
        self.id == other.id && of(self) == of(other)
    }
}

impl Eq for Key {}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.0.iter().map(|it| &it.id);
        f.debug_tuple("Jwks")
            .field(&ids.collect::<Vec<_>>())
            .finish()
    }
}

/// Why a text is no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJwks {
    /// It is no JSON object with a list of keys, or a name stands twice in it.
    #[error("not a JSON Web Key Set: {{\"keys\": [..]}}, no name twice in one object")]
    Shape,
    /// There are more keys than anybody needs.
    #[error("more than {KEYS_MAX} keys")]
    TooMany,
    /// Two keys for one algorithm have the same id.
    #[error("two keys for the same algorithm have the same kid")]
    Ambiguous,
    /// No key can be used.
    #[error(
        "no key in it can verify a token: RSA from 2048 bits, EC on P-256, P-384 or P-521, or \
         Ed25519, and meant for signatures (use, key_ops)"
    )]
    NoKey,
}

impl Jwks {
    /// Reads a set. Keys of other kinds, and those that are weak, malformed, private or meant for
    /// something else, are passed over (RFC 7517 section 5).
    ///
    /// # Errors
    /// It is no set, or has no key that can be used.
    pub fn read(bytes: &[u8]) -> Result<Self, InvalidJwks> {
        let set = strict_json::object(bytes).ok_or(InvalidJwks::Shape)?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(InvalidJwks::Shape)?;
        if keys.len() > KEYS_MAX {
            return Err(InvalidJwks::TooMany);
        }
        let mut all: Vec<Key> = Vec::new();
        for key in keys {
            let key = key.as_object().ok_or(InvalidJwks::Shape)?;
            let Some(key) = read_key(key) else { continue };
            // Those without an id can be told apart by their algorithm alone, if at all.
            let is_same = |other: &Key| {
                let is_id = key.id.is_some() && key.id == other.id;
                is_id && other.algorithms.iter().any(|(it, _)| key.is_for(*it))
            };
            if all.iter().any(is_same) {
                return Err(InvalidJwks::Ambiguous);
            }
            all.push(key);
        }
        if all.is_empty() {
            return Err(InvalidJwks::NoKey);
        }
        Ok(Self(all))
    }

    /// The key of a token. One that names no key is meant for the only one there is for its
    /// algorithm.
    fn key_of(&self, token: &Jwt<'_>) -> Option<&ParsedPublicKey> {
        let is_of = |key: &&Key| token.key_id.is_none() || key.id == token.key_id;
        let keys = self.0.iter().filter(is_of);
        let keys = keys.flat_map(|it| &it.algorithms);
        let mut keys = keys.filter(|(algorithm, _)| *algorithm == token.algorithm);
        let (_, only) = keys.next()?;
        keys.next().is_none().then_some(only)
    }

    /// Verifies the signature of a token.
    pub(super) fn verify(&self, token: &Jwt<'_>) -> Result<(), LoginFailure> {
        let key = self.key_of(token).ok_or(LoginFailure::TokenUnknownKey)?;
        let verified = key.verify_sig(token.signed, &token.signature);
        verified.map_err(|_| LoginFailure::TokenSignature)
    }
}

/// A key that can be used.
fn read_key(key: &Map<String, Value>) -> Option<Key> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    // Whoever publishes a private key has signed nothing with it that could be believed.
    if key.contains_key("d") || !is_for_signatures(key) {
        return None;
    }
    let id = match key.get("kid") {
        None => None,
        Some(id) => Some(id.as_str()?.to_owned()),
    };
    let only = match key.get("alg") {
        None => None,
        Some(name) => Some(Algorithm::by_name(name.as_str()?)?),
    };
    let algorithms = Algorithm::ALL.into_iter();
    let algorithms = algorithms.filter(|it| only.is_none_or(|only| only == *it));
    let algorithms = algorithms.filter_map(|algorithm| {
        let parsed = match algorithm.family() {
            Family::Rsa(parameters) if text("kty") == Some("RSA") => {
                let (n, e) = (part(text("n")?)?, part(text("e")?)?);
                let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
                let is_odd = e.last()? % 2 == 1 && e != [1];
                if !RSA_BITS.contains(&bits) || e.len() > RSA_EXPONENT_BYTES_MAX || !is_odd {
                    return None;
                }
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters)
            }
            Family::Ec(curve, bytes, verifier)
                if text("kty") == Some("EC") && text("crv") == Some(curve) =>
            {
                let (x, y) = (part(text("x")?)?, part(text("y")?)?);
                if x.len() != bytes || y.len() != bytes {
                    return None;
                }
                ParsedPublicKey::new(verifier, [&[4], &*x, &*y].concat())
            }
            Family::Okp(curve, verifier)
                if text("kty") == Some("OKP") && text("crv") == Some(curve) =>
            {
                ParsedPublicKey::new(verifier, part(text("x")?)?)
            }
            Family::Rsa(_) | Family::Ec(..) | Family::Okp(..) => return None,
        };
        Some((algorithm, parsed.ok()?))
    });
    let algorithms: Vec<_> = algorithms.collect();
    (!algorithms.is_empty()).then_some(Key { id, algorithms })
}

/// What a key says that it is for (RFC 7517 sections 4.2 and 4.3).
fn is_for_signatures(key: &Map<String, Value>) -> bool {
    let is_use = key.get("use").is_none_or(|it| it == "sig");
    let verifies = key.get("key_ops").is_none_or(|all| {
        let all = all.as_array();
        all.is_some_and(|all| all.iter().any(|it| it == "verify"))
    });
    is_use && verifies
}
