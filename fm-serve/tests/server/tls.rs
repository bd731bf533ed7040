//! Requests over TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fm_serve::{Error, ModelFile, Options, Server, TlsFiles};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::scene::Scene;

/// A certificate of `localhost` for this test alone, and its key: `openssl req -x509` made them.
fn files() -> TlsFiles {
    let path = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/tls").join(name);
    TlsFiles { certificate: path("certificate.pem"), key: path("key.pem") }
}

/// A client that trusts the certificate.
fn connect(scene: &Scene) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(files().certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), scene.client.connect())
}

/// What the server answers to bytes until it closes the connection.
fn answer(mut stream: impl Read + Write, request: &[u8]) -> String {
    let mut text = vec![];
    // A server that does not understand the request may close the connection before it is sent.
    let _ = stream.write_all(request);
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

const READY: &[u8] = b"GET /v2/health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[test]
fn a_client_that_trusts_the_certificate_is_answered_and_one_without_tls_is_not() {
    let mut scene = Scene::with(|options, _| options.tls = Some(files()));
    let body = r#"[{"user": "ann"}]"#;
    let post = format!(
        "POST /score HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let found = answer(connect(&scene), post.as_bytes());
    assert!(found.starts_with("HTTP/1.1 200 OK\r\n") && found.contains("predictions"), "{found}");

    // Plain HTTP, and bytes that are neither.
    for request in [READY, b"\x16\x03\x01\xff\xff\xff", &[0; 5000]] {
        let found = answer(scene.client.connect(), request);
        assert!(!found.contains("HTTP/1.1 200"), "{found}");
    }
    assert!(answer(connect(&scene), READY).starts_with("HTTP/1.1 200 OK\r\n"));
    scene.end().unwrap();
}

#[test]
fn files_that_are_no_certificate_or_not_of_one_another_are_errors_of_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (empty, broken) = (write("empty.pem", ""), write("broken.pem", "-----BEGIN CERTIFICATE-----\n!\n"));
    let TlsFiles { certificate, key } = files();
    for (certificate, key, words) in [
        (folder.path().join("no.pem"), key.clone(), "no.pem is not a usable certificate"),
        (empty.clone(), key.clone(), "empty.pem is not a usable certificate in PEM form: it has none"),
        (broken, key.clone(), "broken.pem is not a usable certificate"),
        (certificate.clone(), empty, "empty.pem is not a usable private key"),
        (certificate.clone(), certificate.clone(), "certificate.pem is not a usable private key"),
    ] {
        let options = Options {
            port: 0,
            tls: Some(TlsFiles { certificate, key }),
            ..Options::new(vec![ModelFile::parse("nowhere.pt").unwrap()])
        };
        let Err(error) = Server::open(options) else { panic!("{words}") };
        assert!(matches!(error, Error::Option(_)), "{error}");
        assert!(error.to_string().contains(words) && !error.to_string().contains('\n'), "{error}");
    }
}
