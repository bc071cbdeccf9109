//! What a token must say to hold.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorkeeper_core::sasl::failure::LoginFailure;
use doorkeeper_core::sasl::server::TokenHolder;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::jwks::Jwks;
use super::jwt::Jwt;
use crate::login::users::is_name;

/// A token that holds by the skew of clocks alone holds for so long.
const LIFETIME_MIN: Duration = Duration::from_secs(1);

/// What is asked of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// Who must have issued it (`iss`); anybody whose key is known, without.
    pub issuer: Option<String>,
    /// For whom it must be (`aud`), one of these; for anybody, where there is none.
    pub audience: Vec<String>,
    /// How it may be signed.
    pub algorithms: Vec<Algorithm>,
    /// The claim that has the name of the principal.
    pub principal_claim: String,
    /// The claim that has the scopes.
    pub scope_claim: String,
    /// Scopes that it must have, all of them.
    pub scopes: Vec<String>,
    /// By how much the clock of the issuer may differ from ours.
    pub clock_skew: Duration,
    /// How long it may be.
    pub token_bytes_max: usize,
    /// For how long it may have been issued.
    pub token_lifetime_max: Option<Duration>,
}

impl TokenRules {
    /// Whose a token is. Nothing that it says is believed before its signature.
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn holder(
        &self,
        keys: &Jwks,
        token: &[u8],
        now: SystemTime,
    ) -> Result<TokenHolder, LoginFailure> {
        if token.len() > self.token_bytes_max {
            return Err(LoginFailure::TokenTooLong);
        }
        let token = Jwt::read(token)?;
        if !self.algorithms.contains(&token.algorithm) {
            return Err(LoginFailure::TokenAlgorithm);
        }
        keys.verify(&token)?;
        let claims = &token.claims;
        self.is_issuer(claims)?;
        self.is_audience(claims)?;
        let lifetime = self.lifetime(claims, now)?;
        self.has_scopes(claims)?;
        let name = claims.get(&self.principal_claim).and_then(Value::as_str);
        let name = name.filter(|it| is_name(it));
        Ok(TokenHolder {
            name: name.ok_or(LoginFailure::TokenPrincipal)?.to_owned(),
            lifetime: Some(lifetime),
        })
    }

    fn is_issuer(&self, claims: &Map<String, Value>) -> Result<(), LoginFailure> {
        let issuer = claims.get("iss").and_then(Value::as_str);
        match &self.issuer {
            Some(wanted) if issuer != Some(wanted) => Err(LoginFailure::TokenIssuer),
            Some(_) | None => Ok(()),
        }
    }

    fn is_audience(&self, claims: &Map<String, Value>) -> Result<(), LoginFailure> {
        let audience = texts(claims, "aud").unwrap_or_default();
        let is_ours = |it: &&str| self.audience.iter().any(|ours| ours == it);
        if self.audience.is_empty() || audience.iter().any(is_ours) {
            Ok(())
        } else {
            Err(LoginFailure::TokenAudience)
        }
    }

    /// Scopes are a text with spaces in between (RFC 8693 section 4.2), or a list.
    fn has_scopes(&self, claims: &Map<String, Value>) -> Result<(), LoginFailure> {
        let scopes = texts(claims, &self.scope_claim).unwrap_or_default();
        let scopes: Vec<&str> = scopes.iter().flat_map(|it| it.split(' ')).collect();
        if self.scopes.iter().all(|it| scopes.contains(&&**it)) {
            Ok(())
        } else {
            Err(LoginFailure::TokenScope)
        }
    }

    /// How long a token holds from now on (RFC 7519 section 4.1).
    fn lifetime(
        &self,
        claims: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<Duration, LoginFailure> {
        let malformed = LoginFailure::TokenMalformed;
        let skew = self.clock_skew;
        let now = now.duration_since(UNIX_EPOCH).map_err(|_| malformed)?;
        let expires = time(claims, "exp")?.ok_or(malformed)?;
        if expires.saturating_add(skew) <= now {
            return Err(LoginFailure::TokenExpired);
        }
        let issued = time(claims, "iat")?;
        let begins = [time(claims, "nbf")?, issued];
        if begins
            .into_iter()
            .flatten()
            .any(|it| it > now.saturating_add(skew))
        {
            return Err(LoginFailure::TokenNotYetValid);
        }
        if let Some(most) = self.token_lifetime_max
            && expires.saturating_sub(issued.unwrap_or(now)) > most
        {
            return Err(LoginFailure::TokenLifetime);
        }
        Ok(expires.saturating_sub(now).max(LIFETIME_MIN))
    }
}

/// A time as seconds since 1970, which may have a fraction (`NumericDate`).
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Duration>, LoginFailure> {
    let Some(claim) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = claim.as_f64();
    let time = seconds.and_then(|it| Duration::try_from_secs_f64(it).ok());
    time.map(Some).ok_or(LoginFailure::TokenMalformed)
}

/// A text, or a list of nothing but texts.
fn texts<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<Vec<&'a str>> {
    match claims.get(name)? {
        Value::String(text) => Some(vec![text]),
        Value::Array(texts) => texts.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}
