//! TLS settings of both legs, made from PEM text: no sockets, no files.
//!
//! One provider (aws-lc-rs), TLS 1.2 and 1.3. Modes are libpq's `sslmode` (manual, "SSL Support"). It knows
//! nothing of the PostgreSQL protocol.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

use super::certificate::EndPoint;
pub use crate::config::TlsMode;

/// Why TLS settings are not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// No certificate in the PEM text, or one that cannot be read.
    #[error("there is no readable certificate in it")]
    Certificate,
    /// No private key in the PEM text, or one that cannot be read.
    #[error("there is no readable private key in it")]
    Key,
    /// The certificate and the key do not belong together, or are of a kind TLS does not take.
    #[error("the certificate and the private key do not fit each other")]
    Mismatch,
    /// The CA certificates for clients cannot be used.
    #[error("there is no readable CA certificate in it")]
    ClientCa,
    /// The system has no CA certificates and none are configured.
    #[error("no CA certificate is configured and the system has none")]
    NoRoots,
    /// The host is neither a DNS name nor an address.
    #[error("the host is neither a DNS name nor an address")]
    ServerName,
    /// This build's cryptography does not offer the TLS versions.
    #[error("TLS 1.2 and 1.3 are not available in this build")]
    Versions,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The protocol's name in TLS (ALPN), without which TLS from the first byte is not taken for PostgreSQL's (IANA;
/// PostgreSQL 17 manual, "Message Flow: SSL Session Encryption").
pub const ALPN: &[u8] = b"postgresql";

/// The settings of the clients' leg, and what a client's SCRAM exchange is bound to there.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// for the handshake
    pub config: Arc<ServerConfig>,
    /// the certificate's hash; None where it has none, and SCRAM-SHA-256-PLUS is not offered
    pub end_point: Option<EndPoint>,
}

/// The settings of the clients' leg. `certificate` is the chain, the server's own first.
///
/// # Errors
/// [`TlsFault`] when certificate or key cannot be used.
pub fn server_config(certificate: &[u8], key: &[u8]) -> Result<ListenerTls, TlsFault> {
    server_config_with(certificate, key, None)
}

/// The same; clients are asked for certificates of `client_ca`, where it is there. Who shows none comes in all the
/// same, so that it can be told why not in words; one of anybody else's fails the handshake.
///
/// # Errors
/// [`TlsFault`]; [`TlsFault::NoRoots`] and [`TlsFault::ClientCa`] are of `client_ca`.
pub fn server_config_with(
    certificate: &[u8],
    key: &[u8],
    client_ca: Option<&[u8]>,
) -> Result<ListenerTls, TlsFault> {
    let chain = certificates(certificate)?;
    let end_point = chain.first().and_then(|own| EndPoint::of_certificate(own));
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsFault::Key)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|_| TlsFault::Versions)?
        .with_client_cert_verifier(client_verifier(client_ca)?)
        .with_single_cert(chain, key)
        .map_err(|_| TlsFault::Mismatch)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(ListenerTls {
        config: Arc::new(config),
        end_point,
    })
}

fn client_verifier(client_ca: Option<&[u8]>) -> Result<Arc<dyn ClientCertVerifier>, TlsFault> {
    let Some(ca) = client_ca else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let roots = roots(Some(ca)).map_err(|_| TlsFault::ClientCa)?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .allow_unauthenticated()
        .build()
        .map_err(|_| TlsFault::ClientCa)
}

/// The settings of the upstream leg; None when the mode is [`TlsMode::Disable`]. Without `ca` the verifying modes
/// use the system's CA certificates.
///
/// # Errors
/// [`TlsFault`] when the CA certificates cannot be used or are not there.
pub fn client_config(
    mode: TlsMode,
    ca: Option<&[u8]>,
) -> Result<Option<Arc<ClientConfig>>, TlsFault> {
    let check = match (mode, ca) {
        (TlsMode::Disable, _) => return Ok(None),
        (TlsMode::Prefer, _) | (TlsMode::Require, None) => Check::Nothing,
        (TlsMode::Require | TlsMode::VerifyCa, _) => Check::Chain(roots(ca)?),
        (TlsMode::VerifyFull, _) => Check::Full(roots(ca)?),
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|_| TlsFault::Versions)?;
    let config = match check {
        Check::Full(roots) => builder.with_root_certificates(roots).with_no_client_auth(),
        lesser => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(LesserVerifier {
                check: lesser,
                provider: provider(),
            }))
            .with_no_client_auth(),
    };
    Ok(Some(Arc::new(config)))
}

/// The name that verification and SNI use.
///
/// # Errors
/// [`TlsFault::ServerName`].
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsFault> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsFault::ServerName)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsFault::Certificate),
    }
}

fn roots(ca: Option<&[u8]>) -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(pem) => {
            for certificate in certificates(pem)? {
                roots.add(certificate).map_err(|_| TlsFault::Certificate)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(TlsFault::NoRoots);
    }
    Ok(roots)
}

/// What is checked of a server's certificate.
enum Check {
    /// nothing: encryption against listeners only (`prefer`, `require` without a CA)
    Nothing,
    /// the chain up to the CA (`verify-ca`)
    Chain(RootCertStore),
    /// chain and name (`verify-full`); rustls' own verifier
    Full(RootCertStore),
}

/// The verifier of the modes that check less than rustls would. Handshake signatures are always checked.
struct LesserVerifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for LesserVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LesserVerifier")
    }
}

impl ServerCertVerifier for LesserVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.check {
            Check::Nothing => {}
            Check::Chain(roots) | Check::Full(roots) => {
                rustls::client::verify_server_cert_signed_by_trust_anchor(
                    &ParsedCertificate::try_from(end_entity)?,
                    roots,
                    intermediates,
                    now,
                    self.provider.signature_verification_algorithms.all,
                )?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_made_from_pem() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        assert!(server_config(cert.as_bytes(), key.as_bytes()).is_ok());
        assert_eq!(
            server_config(b"", key.as_bytes()).err(),
            Some(TlsFault::Certificate)
        );
        assert_eq!(
            server_config(cert.as_bytes(), b"").err(),
            Some(TlsFault::Key)
        );
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert_eq!(
            server_config(cert.as_bytes(), other.as_bytes()).err(),
            Some(TlsFault::Mismatch)
        );
        for mode in [
            TlsMode::Prefer,
            TlsMode::Require,
            TlsMode::VerifyCa,
            TlsMode::VerifyFull,
        ] {
            assert!(
                client_config(mode, Some(cert.as_bytes()))
                    .unwrap()
                    .is_some()
            );
        }
        assert!(client_config(TlsMode::Disable, None).unwrap().is_none());
        let fault = client_config(TlsMode::VerifyCa, Some(b"nothing")).err();
        assert_eq!(fault, Some(TlsFault::Certificate));
    }
}
