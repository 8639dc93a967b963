//! Connections through TLS with the system's root certificates, and through proxies of the environment.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{Folder, llmpool, simulator};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Terminates TLS in front of `inner`. Returns the port and the PEM certificate of its authority.
async fn tls_proxy(inner: String) -> (u16, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, inner) = (acceptor.clone(), inner.clone());
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(socket).await else {
                    return;
                };
                let mut inside = TcpStream::connect(inner).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (port, authority.pem())
}

/// A proxy that connects every tunnel and forwards every request with an absolute URL to `inner`. Returns its port and a channel with the
/// request line and the credentials of every request.
async fn proxy_to(inner: String) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (requests, received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (requests, inner) = (requests.clone(), inner.clone());
            tokio::spawn(async move { relay(socket, &inner, &requests).await });
        }
    });
    (port, received)
}

async fn relay(socket: TcpStream, inner: &str, requests: &tokio::sync::mpsc::UnboundedSender<String>) {
    let mut outside = BufReader::new(socket);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if outside.read_line(&mut line).await.unwrap() == 0 {
            return;
        }
        if line.trim().is_empty() {
            break;
        }
        head.push(line);
    }
    let credentials = head
        .iter()
        .find(|line| line.to_ascii_lowercase().starts_with("proxy-authorization:"));
    let credentials = credentials.map_or("", |line| line.split(": ").nth(1).unwrap().trim());
    requests
        .send(format!("{} | {credentials}", head[0].trim()))
        .unwrap();
    let mut inside = TcpStream::connect(inner).await.unwrap();
    if head[0].starts_with("CONNECT") {
        outside.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    } else {
        let path = head[0].split("/v1").nth(1).unwrap();
        head[0] = format!("POST /v1{path}");
        inside.write_all(head.concat().as_bytes()).await.unwrap();
        inside.write_all(b"\r\n").await.unwrap();
    }
    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
}

fn address(url: &str) -> String {
    url.trim_start_matches("http://")
        .trim_end_matches("/v1")
        .to_owned()
}

const SCENARIO: &str = r#"{"keys":[{"key":"k"}],"answer":"yes"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_accepts_only_certificates_of_the_system_roots() {
    let simulator = simulator(SCENARIO).await;
    let (port, authority) = tls_proxy(address(&simulator.url())).await;
    let folder = Folder::new();
    folder.write("roots.pem", &authority);
    let url = format!("https://localhost:{port}/v1");
    let roots = folder.0.join("roots.pem").display().to_string();
    let chat = ["chat", "-m", "any", "hi"];
    let trusted = [
        ("OPENAI_API_KEY", "k"),
        ("OPENAI_BASE_URL", &url),
        ("SSL_CERT_FILE", &roots),
    ];
    let (code, out, err) = llmpool(&folder.0, &chat, "", &trusted);
    assert_eq!((code, out.as_str()), (0, "yes\n"), "{err}");

    let (_, unrelated) = tls_proxy(String::new()).await;
    folder.write("roots.pem", &unrelated);
    let file = format!(
        r#"{{"p":[{{"model_name":"m","api_keys":["k"],"base_url":"{url}","max_retries":0,"rate_limit_capacity":null}}]}}"#
    );
    folder.write("provider.json", &file);
    let (code, out, err) = llmpool(&folder.0, &["chat", "hi"], "", &[("SSL_CERT_FILE", &roots)]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("invalid peer certificate"), "{err}");
    assert_eq!(simulator.stats().requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_of_the_environment_is_used() {
    let simulator = simulator(SCENARIO).await;
    let (proxy, mut received) = proxy_to(address(&simulator.url())).await;
    let folder = Folder::new();
    let proxy = format!("http://me:secret@127.0.0.1:{proxy}");
    let chat = ["chat", "-m", "any", "hi"];
    let variables = [
        ("OPENAI_API_KEY", "k"),
        ("OPENAI_BASE_URL", "http://provider.invalid/v1"),
        ("HTTP_PROXY", &proxy),
    ];
    let (code, out, err) = llmpool(&folder.0, &chat, "", &variables);
    assert_eq!((code, out.as_str()), (0, "yes\n"), "{err}");
    assert_eq!(
        received.recv().await.unwrap(),
        "POST http://provider.invalid/v1/chat/completions HTTP/1.1 | Basic bWU6c2VjcmV0"
    );

    let direct = simulator.url();
    let variables = [
        ("OPENAI_API_KEY", "k"),
        ("OPENAI_BASE_URL", &direct),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("NO_PROXY", "127.0.0.1"),
    ];
    let (code, out, err) = llmpool(&folder.0, &chat, "", &variables);
    assert_eq!((code, out.as_str()), (0, "yes\n"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_of_a_tls_connection_sees_only_the_host() {
    let simulator = simulator(SCENARIO).await;
    let (port, authority) = tls_proxy(address(&simulator.url())).await;
    let (proxy, mut received) = proxy_to(format!("127.0.0.1:{port}")).await;
    let folder = Folder::new();
    folder.write("roots.pem", &authority);
    let roots = folder.0.join("roots.pem").display().to_string();
    let proxy = format!("http://127.0.0.1:{proxy}");
    let variables = [
        ("OPENAI_API_KEY", "k"),
        ("OPENAI_BASE_URL", "https://localhost/v1"),
        ("HTTPS_PROXY", &proxy),
        ("SSL_CERT_FILE", &roots),
    ];
    let (code, out, err) = llmpool(&folder.0, &["chat", "-m", "any", "hi"], "", &variables);
    assert_eq!((code, out.as_str()), (0, "yes\n"), "{err}");
    assert_eq!(
        received.recv().await.unwrap(),
        "CONNECT localhost:443 HTTP/1.1 | "
    );
}
