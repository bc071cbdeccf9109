//! Which bearer tokens a listener takes.

use std::sync::Arc;

use super::super::oauth::Oauth;
use super::super::tree::Path;
use super::Compiler;
use super::tls::Reader;
use crate::https::{HttpsTrust, HttpsUrl};
use crate::login::tokens::jwks::Jwks;
use crate::login::tokens::rules::TokenRules;
use crate::login::tokens::{JwksEndpoint, KeySource, Tokens};

impl Compiler<'_> {
    /// What contradicts itself, or would let in whoever has a token for somebody else.
    pub(super) fn check_oauth(&mut self, path: &Path, oauth: &Oauth) {
        let path = path.key("oauth");
        match (&oauth.jwks_file, &oauth.jwks_url) {
            (None, None) => {
                self.error(&path, "needs jwks_file or jwks_url: the keys of the issuer")
            }
            (Some(_), Some(_)) => {
                self.error(&path.key("jwks_url"), "either this or jwks_file");
            }
            (Some(_), None) if oauth.ca_file.is_some() => {
                self.error(&path.key("ca_file"), "is of no use without jwks_url");
            }
            (Some(_), None) => {}
            (None, Some(url)) => {
                if let Err(why) = url.parse::<HttpsUrl>() {
                    self.error(&path.key("jwks_url"), why.to_string());
                }
            }
        }
        for (key, wanted, insecure, is_allowed) in [
            (
                "issuer",
                oauth.issuer.is_some(),
                "insecure_any_issuer",
                oauth.insecure_any_issuer.is_some(),
            ),
            (
                "audience",
                !oauth.audience.is_empty(),
                "insecure_any_audience",
                oauth.insecure_any_audience.is_some(),
            ),
        ] {
            match (wanted, is_allowed) {
                (true, false) => {}
                (true, true) => {
                    let message = format!("contradicts {key}");
                    self.error(&path.key(insecure), message);
                }
                (false, true) => {
                    let message = "whoever has a token of these keys for anything can log in";
                    self.warning(&path.key(insecure), message);
                }
                (false, false) => {
                    let message = format!(
                        "needs {key}: without it, tokens that were issued for something else \
                         would hold here; or say {insecure}: allow"
                    );
                    self.error(&path, message);
                }
            }
        }
        let texts = [
            ("principal_claim", &oauth.principal_claim),
            ("scope_claim", &oauth.scope_claim),
        ];
        for (key, claim) in texts {
            if claim.is_empty() {
                self.error(&path.key(key), "is empty");
            }
        }
    }
}

impl Reader<'_> {
    /// What tokens are verified by.
    pub(super) fn tokens(&mut self, path: &Path, oauth: &Oauth) -> Option<Arc<Tokens>> {
        let path = path.key("oauth");
        let keys = match (&oauth.jwks_file, &oauth.jwks_url) {
            (Some(file), _) => {
                let path = path.key("jwks_file");
                let bytes = self.file(&path, file)?;
                let keys = Jwks::read(&bytes);
                let keys = keys.map_err(|error| self.error(&path, format!("{file}: {error}")));
                KeySource::File(Arc::new(keys.ok()?))
            }
            (None, Some(url)) => {
                let ca = match &oauth.ca_file {
                    Some(file) => Some(self.file(&path.key("ca_file"), file)?),
                    None => None,
                };
                let trust = self.made(&path, HttpsTrust::new(ca));
                let url = self.made(&path.key("jwks_url"), url.parse::<HttpsUrl>());
                KeySource::Endpoint(Arc::new(JwksEndpoint {
                    url: url?,
                    trust: trust?,
                    refresh_interval: oauth.refresh_every.0,
                    timeout: oauth.fetch_timeout.0,
                }))
            }
            (None, None) => return None,
        };
        let rules = rules(oauth);
        Some(Arc::new(Tokens { rules, keys }))
    }
}

fn rules(oauth: &Oauth) -> TokenRules {
    TokenRules {
        issuer: oauth.issuer.clone(),
        audience: oauth.audience.clone(),
        algorithms: oauth.algorithms.iter().map(|it| (*it).into()).collect(),
        principal_claim: oauth.principal_claim.clone(),
        scope_claim: oauth.scope_claim.clone(),
        scopes: oauth.scopes.clone(),
        clock_skew: oauth.clock_skew.0,
        token_bytes_max: usize::try_from(oauth.token_bytes_max.0).unwrap_or(usize::MAX),
        token_lifetime_max: oauth.token_lifetime_max.map(|it| it.0),
    }
}
