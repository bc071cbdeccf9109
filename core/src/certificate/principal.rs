//! The principal of a client that shows a certificate.

use super::distinguished_name::DistinguishedName;
use super::mapping_rules::MappingRules;
use crate::policy::Principal;
use crate::tls_failure::TlsFailure;

/// Longer than any name that is not an attack: a rule may take time that grows faster than a name.
const NAME_BYTES_MAX: usize = 4096;

/// What a certificate says of whom it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames<'a> {
    /// The DER of its subject.
    pub subject: &'a [u8],
    /// Its alternative names of the kind that is looked for.
    pub alternative: Vec<&'a str>,
}

/// Which alternative names of a certificate count (RFC 5280, section 4.2.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlternativeName {
    /// `dNSName`, in lower case.
    Dns,
    /// `uniformResourceIdentifier`.
    Uri,
    /// `rfc822Name`.
    Email,
}

/// Where the name of a principal comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalSource {
    /// The subject, by Kafka's rules.
    Subject(MappingRules),
    /// The only alternative name of that kind.
    Alternative(AlternativeName),
}

impl PrincipalSource {
    /// Kafka's default: the distinguished name of the subject as it is.
    #[must_use]
    pub fn distinguished_name() -> Self {
        Self::Subject(MappingRules::default_rule())
    }

    /// Who the client is. Its type is always `User`, as in Kafka.
    ///
    /// Kafka closes a connection whose principal no rule gives when its first request comes; here
    /// the handshake fails, so that the client learns of it and does not try again.
    ///
    /// # Errors
    /// No rule matches, or there is no name that can be used.
    pub fn principal(&self, names: &CertificateNames<'_>) -> Result<Principal, TlsFailure> {
        let name = match self {
            Self::Subject(rules) => subject_name(rules, names.subject)?,
            Self::Alternative(kind) => {
                let [name] = names.alternative.as_slice() else {
                    return Err(TlsFailure::PrincipalName);
                };
                usable(name)?;
                match kind {
                    AlternativeName::Dns => name.to_ascii_lowercase(),
                    AlternativeName::Uri | AlternativeName::Email => (*name).to_owned(),
                }
            }
        };
        Ok(Principal::new(&format!("User:{name}")))
    }
}

fn subject_name(rules: &MappingRules, subject: &[u8]) -> Result<String, TlsFailure> {
    let subject = DistinguishedName::from_der(subject);
    let subject = subject.map_err(|_| TlsFailure::PrincipalName)?.to_string();
    if !subject.is_empty() {
        usable(&subject)?;
    }
    let name = rules.name(&subject, NAME_BYTES_MAX);
    let name = name.map_err(|_| TlsFailure::PrincipalName)?;
    let name = name.ok_or(TlsFailure::PrincipalUnmapped)?;
    usable(&name)?;
    Ok(name)
}

/// Nothing that is empty, too long, or that looks in a log or a policy like another name: ends of
/// lines and other control characters, and what stands for bytes that are no UTF-8.
fn usable(name: &str) -> Result<(), TlsFailure> {
    let is_bad = |char: char| {
        char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | char::REPLACEMENT_CHARACTER)
    };
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(is_bad) {
        return Err(TlsFailure::PrincipalName);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The DER of `CN=` and this text.
    fn common_name(text: &[u8]) -> Vec<u8> {
        let tlv = |tag: u8, contents: Vec<u8>| {
            let length = u16::try_from(contents.len()).unwrap();
            let [high, low] = length.to_be_bytes();
            let length = match (high, low) {
                (0, 0..=0x7f) => vec![low],
                (0, _) => vec![0x81, low],
                _ => vec![0x82, high, low],
            };
            [vec![tag], length, contents].concat()
        };
        let value = tlv(0x0c, text.to_vec());
        let attribute = tlv(0x30, [vec![6, 3, 0x55, 4, 3], value].concat());
        tlv(0x30, tlv(0x31, attribute))
    }

    fn by_rules(rules: &str, text: &[u8]) -> Result<String, TlsFailure> {
        let source = PrincipalSource::Subject(MappingRules::parse(rules).unwrap());
        let subject = common_name(text);
        let names = CertificateNames {
            subject: &subject,
            ..CertificateNames::default()
        };
        source.principal(&names).map(|it| it.as_str().to_owned())
    }

    #[test]
    fn a_subject_is_mapped_to_a_user() {
        let rules = "RULE:^CN=([^,]+)$/$1/U,DEFAULT";
        assert_eq!(by_rules(rules, b"alice"), Ok("User:ALICE".to_owned()));
        assert_eq!(by_rules(rules, b"a,b"), Ok("User:CN=a\\,b".to_owned()));
        let subject = common_name(b"alice");
        let names = CertificateNames {
            subject: &subject,
            ..CertificateNames::default()
        };
        let whole = PrincipalSource::distinguished_name().principal(&names);
        assert_eq!(whole, Ok(Principal::new("User:CN=alice")));
    }

    #[test]
    fn a_name_that_cannot_be_used_fails() {
        let bad = Err(TlsFailure::PrincipalName);
        assert_eq!(
            by_rules("RULE:^CN=x$/y/", b"alice"),
            Err(TlsFailure::PrincipalUnmapped)
        );
        assert_eq!(by_rules("RULE:^CN=.*$//", b"alice"), bad, "empty");
        assert_eq!(by_rules("DEFAULT", b"alice\nadmin"), bad, "two lines");
        assert_eq!(by_rules("DEFAULT", b"al\xffce"), bad, "no UTF-8");
        assert_eq!(by_rules("DEFAULT", &[b'a'; 4094]), bad, "too long");
        assert_eq!(
            by_rules("RULE:a/aaaaaaaaaaaaaaaaaaaa/,RULE:.*/$0$0/", &[b'a'; 3000]),
            bad
        );
        // What is bad in a subject is not mended by a rule.
        assert_eq!(by_rules("RULE:(?s).*/x/", b"alice\nadmin"), bad);
    }

    #[test]
    fn exactly_one_alternative_name_counts() {
        let named = |kind, alternative: &[&'static str]| {
            let names = CertificateNames {
                subject: b"",
                alternative: alternative.to_vec(),
            };
            PrincipalSource::Alternative(kind).principal(&names)
        };
        let bad = Err(TlsFailure::PrincipalName);
        let alice = Ok(Principal::new("User:alice.example.com"));
        assert_eq!(named(AlternativeName::Dns, &["Alice.example.com"]), alice);
        let spiffe = Ok(Principal::new("User:spiffe://Trust/alice"));
        assert_eq!(
            named(AlternativeName::Uri, &["spiffe://Trust/alice"]),
            spiffe
        );
        assert_eq!(named(AlternativeName::Email, &[]), bad);
        assert_eq!(named(AlternativeName::Email, &["a@b", "c@d"]), bad);
        assert_eq!(named(AlternativeName::Email, &["a@b\n"]), bad);
    }
}
