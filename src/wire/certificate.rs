//! What a login needs of an X.509 certificate: what a SCRAM exchange is bound to, and the names of its subject.
//!
//! Pure. It verifies nothing: a chain is verified by TLS before anything here counts.

use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;
use x509_cert::Certificate;
use x509_cert::der::asn1::{Any, Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Decode as _, Tag, Tagged as _};

/// The channel binding `tls-server-end-point` of a server's certificate (RFC 5929 section 4.1): its hash, by the
/// hash function that its own signature uses.
#[derive(Debug, Clone)]
pub struct EndPoint(Vec<u8>);

impl EndPoint {
    /// Of a certificate in DER; None where its signature has no single hash function (Ed25519, RSASSA-PSS), or it
    /// cannot be read: then nothing can be bound to it.
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let hash = match certificate.signature_algorithm.oid.to_string().as_str() {
            // MD5 and SHA-1 are replaced by SHA-256: RSA with either, ECDSA and DSA with SHA-1.
            "1.2.840.113549.1.1.4"
            | "1.2.840.113549.1.1.5"
            | "1.2.840.10045.4.1"
            | "1.2.840.10040.4.3" => Sha256::digest(der).to_vec(),
            "1.2.840.113549.1.1.14" | "1.2.840.10045.4.3.1" => Sha224::digest(der).to_vec(),
            "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" | "2.16.840.1.101.3.4.3.2" => {
                Sha256::digest(der).to_vec()
            }
            "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Sha384::digest(der).to_vec(),
            "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Sha512::digest(der).to_vec(),
            _ => return None,
        };
        Some(Self(hash))
    }

    /// The hash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for EndPoint {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }
}

impl Eq for EndPoint {}

/// The subject of a client's certificate: the kind and the value of each of its attributes, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(Vec<(String, Option<String>)>);

/// Kinds of attributes with a name of their own (RFC 4514 section 3, and two more that certificates have).
const KINDS: &[(&str, &str)] = &[
    ("CN", "2.5.4.3"),
    ("serialNumber", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
];

impl Subject {
    /// Of a certificate in DER; None where it cannot be read.
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let subject = certificate.tbs_certificate.subject;
        let attributes = subject.0.iter().flat_map(|relative| relative.0.iter());
        let named = attributes.map(|attribute| {
            let oid = attribute.oid.to_string();
            let known = KINDS.iter().find(|(_, known)| *known == oid);
            let kind = known.map_or(oid.as_str(), |(name, _)| name).to_owned();
            (kind, text(&attribute.value))
        });
        Some(Self(named.collect()))
    }

    /// The kind as a subject names it, or None where it is none: letters in any case, or a dotted OID.
    pub fn kind(written: &str) -> Option<String> {
        let known = KINDS
            .iter()
            .find(|(name, oid)| name.eq_ignore_ascii_case(written) || *oid == written);
        let dotted = written.split('.').count() > 2
            && written
                .split('.')
                .all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()));
        match known {
            Some((name, _)) => Some((*name).to_owned()),
            None => dotted.then(|| written.to_owned()),
        }
    }

    /// Whether the subject has attributes of that kind, and the value of each of them fits: a second name beside
    /// the expected one must not pass for it.
    pub fn each(&self, kind: &str, fits: impl Fn(&str) -> bool) -> bool {
        let mut values = self.0.iter().filter(|(k, _)| k == kind).peekable();
        values.peek().is_some() && values.all(|(_, value)| value.as_deref().is_some_and(&fits))
    }
}

/// The value as text; None for what is none.
fn text(value: &Any) -> Option<String> {
    match value.tag() {
        Tag::Utf8String => value
            .decode_as::<Utf8StringRef<'_>>()
            .ok()
            .map(|t| t.as_str().to_owned()),
        Tag::PrintableString => value
            .decode_as::<PrintableStringRef<'_>>()
            .ok()
            .map(|t| t.as_str().to_owned()),
        Tag::Ia5String => value
            .decode_as::<Ia5StringRef<'_>>()
            .ok()
            .map(|t| t.as_str().to_owned()),
        Tag::BmpString => {
            let units = value.value().chunks_exact(2);
            let whole = units.remainder().is_empty();
            let units: Vec<u16> = units.map(|u| u16::from_be_bytes([u[0], u[1]])).collect();
            String::from_utf16(&units).ok().filter(|_| whole)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    use super::*;

    fn der(algorithm: &'static rcgen::SignatureAlgorithm, names: &[(DnType, DnValue)]) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_channel_is_bound_by_the_hash_of_the_certificates_signature() {
        let sha256 = der(&rcgen::PKCS_ECDSA_P256_SHA256, &[]);
        let bound = EndPoint::of_certificate(&sha256).unwrap();
        assert_eq!(bound.as_bytes(), &Sha256::digest(&sha256)[..]);
        let sha384 = der(&rcgen::PKCS_ECDSA_P384_SHA384, &[]);
        let bound = EndPoint::of_certificate(&sha384).unwrap();
        assert_eq!(bound.as_bytes(), &Sha384::digest(&sha384)[..]);
        assert_eq!(
            EndPoint::of_certificate(&der(&rcgen::PKCS_ED25519, &[])),
            None
        );
        assert_eq!(EndPoint::of_certificate(b"no certificate"), None);
    }

    #[test]
    fn every_value_of_a_kind_must_fit() {
        let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
        let one = der(
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &[
                (DnType::CommonName, utf8("anna.support")),
                (DnType::OrganizationName, utf8("Example, Inc.")),
            ],
        );
        let subject = Subject::of_certificate(&one).unwrap();
        assert!(subject.each("CN", |value| value == "anna.support"));
        assert!(subject.each("O", |value| value == "Example, Inc."));
        assert!(!subject.each("CN", |value| value == "anna"));
        assert!(!subject.each("OU", |_| true), "it has none");
        let printable = "anna".try_into().unwrap();
        let other = der(
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &[
                (DnType::CommonName, DnValue::PrintableString(printable)),
                (DnType::CustomDnType(vec![2, 5, 4, 3]), utf8("mallory")),
            ],
        );
        let subject = Subject::of_certificate(&other).unwrap();
        assert!(!subject.each("CN", |value| value == "anna"), "{subject:?}");
        assert!(subject.each("CN", |value| value == "anna" || value == "mallory"));
        assert_eq!(Subject::of_certificate(b"none"), None);
    }

    #[test]
    fn kinds_are_known_by_name_or_number() {
        assert_eq!(Subject::kind("cn").as_deref(), Some("CN"));
        assert_eq!(Subject::kind("2.5.4.11").as_deref(), Some("OU"));
        assert_eq!(Subject::kind("1.3.6.1.4.1").as_deref(), Some("1.3.6.1.4.1"));
        for none in ["", "CNN", "1.2", "1..2", "a.b.c"] {
            assert_eq!(Subject::kind(none), None, "{none}");
        }
    }
}
