//! What is said of the certificates of clients.

use doorkeeper_core::certificate::mapping_rules::MappingRules;
use doorkeeper_core::certificate::principal::{AlternativeName, PrincipalSource};
use doorkeeper_core::certificate::subject_rule::SubjectRule;
use rustls::pki_types::CertificateDer;

use super::super::super::tls::{ClientAuth, ListenerTls, Principal, SubjectAlternativeName};
use super::super::super::tree::Path;
use super::Reader;
use crate::tls::client_rules::ClientRules;
use crate::tls::identity;
use crate::tls::server::{self, Trust};

impl Reader<'_> {
    pub(super) fn client_auth(
        &mut self,
        path: &Path,
        tls: &ListenerTls,
    ) -> Option<server::ClientAuth> {
        let Some(ca_file) = &tls.client_ca_file else {
            self.needs_no_clients(path, tls);
            if tls.client_auth == ClientAuth::None {
                return Some(server::ClientAuth::None);
            }
            let message = "needs client_ca_file: the CAs whose client certificates hold";
            self.error(&path.key("client_auth"), message);
            return None;
        };
        let ca = self.file(&path.key("client_ca_file"), ca_file);
        let crls = tls.crl_files.iter().enumerate().map(|(i, file)| {
            let path = path.key("crl_files").index(i);
            self.file(&path, file)
        });
        let crls: Vec<Option<Vec<u8>>> = crls.collect();
        let rules = self.client_rules(path, tls);
        let trust = Trust {
            ca: ca?,
            crls: crls.into_iter().collect::<Option<_>>()?,
            rules: rules?,
        };
        Some(match tls.client_auth {
            ClientAuth::None => {
                let message = "is of no use where client_auth is none";
                self.error(&path.key("client_ca_file"), message);
                return None;
            }
            ClientAuth::Optional => server::ClientAuth::Optional(trust),
            ClientAuth::Required => server::ClientAuth::Required(trust),
        })
    }

    /// Where no CA is trusted, nothing can be said of certificates.
    fn needs_no_clients(&mut self, path: &Path, tls: &ListenerTls) {
        let said = [
            ("crl_files", !tls.crl_files.is_empty()),
            ("client_subjects", !tls.client_subjects.is_empty()),
            (
                "client_certificate_file",
                tls.client_certificate_file.is_some(),
            ),
            ("principal", tls.principal.is_some()),
        ];
        for (key, _) in said.into_iter().filter(|(_, is_said)| *is_said) {
            self.error(&path.key(key), "needs client_ca_file");
        }
    }

    fn client_rules(&mut self, path: &Path, tls: &ListenerTls) -> Option<ClientRules> {
        let subjects = tls.client_subjects.iter().enumerate().map(|(i, text)| {
            let path = path.key("client_subjects").index(i);
            self.made(&path, SubjectRule::parse(text))
        });
        let subjects: Vec<Option<SubjectRule>> = subjects.collect();
        let pinned = tls.client_certificate_file.as_ref();
        let pinned = pinned.map(|it| self.certificate(&path.key("client_certificate_file"), it));
        let principal = match &tls.principal {
            Some(principal) => self.principal(&path.key("principal"), principal),
            None => Some(PrincipalSource::distinguished_name()),
        };
        Some(ClientRules {
            pinned: pinned.map_or(Some(None), |it| it.map(Some))?,
            subjects: subjects.into_iter().collect::<Option<_>>()?,
            principal: principal?,
        })
    }

    /// The only certificate of a file.
    fn certificate(&mut self, path: &Path, file: &str) -> Option<CertificateDer<'static>> {
        let pem = self.file(path, file)?;
        let mut all = self.made(path, identity::certificates(&pem))?;
        if all.len() > 1 {
            let message =
                "more than one certificate is in it: only that of the client belongs there";
            self.error(path, message);
            return None;
        }
        all.pop()
    }

    fn principal(&mut self, path: &Path, principal: &Principal) -> Option<PrincipalSource> {
        match (&principal.mapping_rules, principal.san) {
            (Some(rules), None) => {
                let path = path.key("mapping_rules");
                let rules = rules.iter().enumerate().map(|(i, text)| {
                    let path = path.index(i);
                    self.made(&path, MappingRules::parse(text))
                });
                let rules: Vec<Option<MappingRules>> = rules.collect();
                let rules: Vec<MappingRules> = rules.into_iter().collect::<Option<_>>()?;
                let rules = rules.into_iter().reduce(MappingRules::followed_by);
                let Some(rules) = rules.filter(|it| !it.is_empty()) else {
                    self.error(&path, "has no rule, so that no client would be let in");
                    return None;
                };
                Some(PrincipalSource::Subject(rules))
            }
            (None, Some(san)) => Some(PrincipalSource::Alternative(match san {
                SubjectAlternativeName::Dns => AlternativeName::Dns,
                SubjectAlternativeName::Uri => AlternativeName::Uri,
                SubjectAlternativeName::Email => AlternativeName::Email,
            })),
            (None, None) | (Some(_), Some(_)) => {
                self.error(path, "needs either mapping_rules or san");
                None
            }
        }
    }
}
