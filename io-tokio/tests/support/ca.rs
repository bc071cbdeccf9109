//! A CA and certificates that it signs: tests make their own keys.
#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "several test binaries include it, each uses some of it, and fails by panicking"
)]

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SerialNumber, date_time_ymd,
};

/// The name that [`SERVER`] is for.
pub const NAME: &str = "kafka.example.com";

/// A CA of its own for each test.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// Which side a certificate is for.
#[derive(Clone, Copy)]
pub enum Purpose {
    Server,
    Client,
}

/// What a certificate is to be.
#[derive(Clone, Copy)]
pub struct Leaf {
    pub name: &'static str,
    pub purpose: Purpose,
    pub years: (i32, i32),
    pub serial: u64,
    /// Whether its name is one of its alternative names, or its common name alone.
    pub is_in_alternative_names: bool,
}

pub const SERVER: Leaf = Leaf {
    name: NAME,
    purpose: Purpose::Server,
    years: (2020, 2100),
    serial: 1,
    is_in_alternative_names: true,
};

pub const CLIENT: Leaf = Leaf {
    name: "alice",
    purpose: Purpose::Client,
    years: (2020, 2100),
    serial: 2,
    is_in_alternative_names: true,
};

impl Ca {
    pub fn new() -> Self {
        Self::called("test CA")
    }

    /// Another one, of that name.
    pub fn called(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// A chain and its key, in PEM.
    pub fn pem_of(&self, leaf: Leaf) -> (String, String) {
        let names = leaf.is_in_alternative_names.then(|| leaf.name.to_owned());
        let mut params = CertificateParams::new(Vec::from_iter(names)).unwrap();
        params.extended_key_usages = vec![match leaf.purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.not_before = date_time_ymd(leaf.years.0, 1, 1);
        params.not_after = date_time_ymd(leaf.years.1, 1, 1);
        params.serial_number = Some(SerialNumber::from(leaf.serial));
        params
            .distinguished_name
            .push(DnType::CommonName, leaf.name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A list with this certificate on it, good for these years.
    pub fn crl(&self, serial: u64, years: (i32, i32)) -> Vec<u8> {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(years.0, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(years.0, 1, 1),
            next_update: date_time_ymd(years.1, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).unwrap();
        list.pem().unwrap().into_bytes()
    }
}
