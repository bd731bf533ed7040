//! Encrypted connections.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::error::{Error, Result};

/// The certificate of the server, and its key.
pub(crate) struct Tls(TlsAcceptor);

impl Tls {
    /// Reads two PEM files: the certificate, followed by those that lead to a known authority, and its private key.
    ///
    /// # Errors
    /// [`Error::Option`] for a file that cannot be read or holds something else, and a key of another certificate.
    pub fn load(certificate: &Path, key: &Path) -> Result<Tls> {
        let invalid = |path: &Path, what: &str, reason: String| {
            Error::Option(format!("{} is not a usable {what} in PEM form: {reason}", path.display()))
        };
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| invalid(certificate, "certificate", error.to_string()))?;
        if chain.is_empty() {
            return Err(invalid(certificate, "certificate", "it has none".into()));
        }
        let private =
            PrivateKeyDer::from_pem_file(key).map_err(|error| invalid(key, "private key", error.to_string()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private));
        let mut config = config.map_err(|error| {
            invalid(key, "private key", format!("{error}, with the certificate {}", certificate.display()))
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls(TlsAcceptor::from(Arc::new(config))))
    }

    /// Agrees on a key with the client.
    ///
    /// # Errors
    /// What the client did wrong, such as to speak HTTP without TLS.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        self.0.accept(stream).await
    }
}
