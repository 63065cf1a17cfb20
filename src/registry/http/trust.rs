//! Whose certificate is trusted where files of certificates are given (`--ca-file`).
//!
//! A certificate that is in a file counts as a CA, as everywhere, and also as itself: `openssl req -x509`, which is how
//! a registry's documentation makes one, writes a self-signed certificate that says it is a CA, and a CA is no server
//! to X.509 path validation. Whoever has put that very certificate into the file means it. Its name and its dates count
//! as for any other, and its key is proved in the handshake.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// TLS that trusts these certificates beside the machine's own; these alone where the machine has none (a slim
/// container).
pub(super) fn config(certificates: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let all = rustls_platform_verifier::Verifier::new_with_extra_roots(certificates.to_vec(), Arc::clone(&provider));
    let chains: Arc<dyn ServerCertVerifier> = if let Ok(all) = all {
        Arc::new(all)
    } else {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let alone = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build();
        alone.map_err(|error| rustls::Error::General(error.to_string()))?
    };
    let files = Files { chains, certificates: certificates.to_vec(), provider: Arc::clone(&provider) };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(files))
        .with_no_client_auth())
}

/// Whether an error says that a server's certificate says it is a CA.
pub(super) fn is_ca(error: &CertificateError) -> bool {
    let CertificateError::Other(other) = error else { return false };
    other.0.downcast_ref::<webpki::Error>() == Some(&webpki::Error::CaUsedAsEndEntity)
}

#[derive(Debug)]
struct Files {
    /// Whoever knows chains of certificates.
    chains: Arc<dyn ServerCertVerifier>,
    certificates: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Files {
    /// Whether a certificate of the files is valid by itself at this time. Path validation looks at the dates before it
    /// looks at what a CA may not be.
    fn is_valid(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        let (Ok(end), Ok(anchor)) = (EndEntityCert::try_from(certificate), anchor_from_trusted_cert(certificate))
        else {
            return false;
        };
        let algorithms = self.provider.signature_verification_algorithms.all;
        let anchors = [anchor];
        let path = end.verify_for_usage(algorithms, &anchors, &[], now, KeyUsage::server_auth(), None, None);
        matches!(path, Ok(_) | Err(webpki::Error::CaUsedAsEndEntity))
    }
}

impl ServerCertVerifier for Files {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(_) if self.certificates.contains(end_entity) && self.is_valid(end_entity, now) => {
                let end = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&end, server_name).map(|()| ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
