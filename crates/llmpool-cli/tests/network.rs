//! Connections through TLS with the system's root certificates, and through proxies of the environment.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use support::{Folder, llmpool, simulator};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Terminates TLS in front of `inner`. Returns the port and the PEM certificate of its authority.
async fn tls_proxy(inner: String) -> (u16, String) {
    let (port, authority, _) = counting_tls_proxy(inner).await;
    (port, authority)
}

/// The same as [`tls_proxy`], with the number of accepted connections.
async fn counting_tls_proxy(inner: String) -> (u16, String, Arc<AtomicUsize>) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, format!("authority of {inner}"));
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
    let connections = Arc::<AtomicUsize>::default();
    let accepted = connections.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            accepted.fetch_add(1, Ordering::SeqCst);
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
    (port, authority.pem(), connections)
}

/// A server that answers the first bytes of every connection with `answer` and closes the connection. Returns its port and the number of
/// connections.
async fn answering(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::<AtomicUsize>::default();
    let accepted = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            accepted.fetch_add(1, Ordering::SeqCst);
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    (port, connections)
}

/// Makes a call without retries to a provider at `url`. Returns the exit code and stderr.
fn failing_call(url: &str, variables: &[(&str, &str)]) -> (i32, String) {
    let folder = Folder::new();
    let file = format!(
        r#"{{"p":[{{"model_name":"m","api_keys":["k"],"base_url":"{url}","max_retries":0,"rate_limit_capacity":null}}]}}"#
    );
    folder.write("provider.json", &file);
    let (code, out, err) = llmpool(&folder.0, &["chat", "hi"], "", variables);
    assert_eq!(out, "");
    (code, err)
}

/// Makes a call with the default number of retries to a provider at `url`. Returns the exit code and stderr.
fn repeating_call(url: &str, variables: &[(&str, &str)]) -> (i32, String) {
    let folder = Folder::new();
    let mut all = vec![("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", url)];
    all.extend_from_slice(variables);
    let (code, out, err) = llmpool(&folder.0, &["chat", "-m", "any", "hi"], "", &all);
    assert_eq!(out, "");
    (code, err)
}

#[track_caller]
fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
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

    // An authority of the same name with another key.
    let (_, unrelated) = tls_proxy(address(&simulator.url())).await;
    folder.write("roots.pem", &unrelated);
    let (_, err) = failing_call(&url, &[("SSL_CERT_FILE", &roots)]);
    assert_contains(&err, &["is signed by an unknown issuer"]);
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

/// The same would be refused again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_certificate_is_named_and_not_tried_again() {
    let simulator = simulator(SCENARIO).await;
    let (port, authority, connections) = counting_tls_proxy(address(&simulator.url())).await;
    let (_, unrelated) = tls_proxy(String::new()).await;
    let folder = Folder::new();
    folder.write("roots.pem", &authority);
    folder.write("unrelated.pem", &unrelated);
    let path = |name: &str| folder.0.join(name).display().to_string();

    let url = format!("https://localhost:{port}/v1");
    let (_, err) = repeating_call(&url, &[("SSL_CERT_FILE", &path("unrelated.pem"))]);
    let text = format!(
        "certificate not accepted: the certificate of localhost:{port} is signed by an unknown issuer; 1 attempt in"
    );
    let help = "hint: set SSL_CERT_FILE to a file with the certificate of the issuer";
    assert_contains(&err, &[&text, help]);
    assert_eq!(connections.swap(0, Ordering::SeqCst), 1);

    let url = format!("https://127.0.0.1:{port}/v1");
    let (_, err) = repeating_call(&url, &[("SSL_CERT_FILE", &path("roots.pem"))]);
    let text = format!("127.0.0.1:{port} presents a certificate for localhost; 1 attempt in");
    assert_contains(&err, &[&text]);
    assert_eq!(connections.swap(0, Ordering::SeqCst), 1);

    let (_, err) = repeating_call(&url, &[("SSL_CERT_FILE", &path("missing.pem"))]);
    assert_contains(
        &err,
        &["no root certificates found: ", "missing.pem", "set SSL_CERT_FILE"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_parties_are_named() {
    let (code, err) = failing_call("http://127.0.0.1:1/v1", &[]);
    assert_eq!(code, 1);
    assert_contains(
        &err,
        &["p/m: connection failed: 127.0.0.1:1 refused the connection"],
    );
    let (_, err) = failing_call("https://provider.invalid/v1", &[]);
    assert_contains(
        &err,
        &["p/m: connection failed: cannot find host provider.invalid"],
    );

    let proxy = [("HTTPS_PROXY", "http://me:SECRET@127.0.0.1:1")];
    let (_, err) = failing_call("https://provider.invalid/v1", &proxy);
    assert_contains(
        &err,
        &[
            "connection failed: proxy 127.0.0.1:1 (HTTPS_PROXY) refused the connection",
            "hint: correct HTTPS_PROXY, or add the host of the provider to NO_PROXY",
        ],
    );
    assert!(!err.contains("SECRET"), "{err}");
    let proxy = [("HTTP_PROXY", ""), ("http_proxy", "http://proxy.invalid:3128")];
    let (_, err) = failing_call("http://127.0.0.1:1/v1", &proxy);
    assert_contains(
        &err,
        &["cannot find the host of proxy proxy.invalid:3128 (http_proxy)"],
    );
    let proxy = [("ALL_PROXY", "socks5://me:SECRET@127.0.0.1:1")];
    let (_, err) = failing_call("http://127.0.0.1:1/v1", &proxy);
    assert_contains(&err, &["ALL_PROXY is not the URL of an http:// proxy"]);
    assert!(!err.contains("SECRET"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exceptions_of_the_proxy_are_reached_directly() {
    let simulator = simulator(SCENARIO).await;
    let url = simulator.url();
    let port = url.rsplit(':').next().unwrap().trim_end_matches("/v1");
    let folder = Folder::new();
    for exceptions in ["*", &format!("127.0.0.1:{port}"), "10.0.0.0/8 127.0.0.0/8"] {
        let variables = [
            ("OPENAI_API_KEY", "k"),
            ("OPENAI_BASE_URL", &url),
            ("HTTP_PROXY", "http://127.0.0.1:1"),
            ("NO_PROXY", exceptions),
        ];
        let (code, _, err) = llmpool(&folder.0, &["chat", "-m", "any", "hi"], "", &variables);
        assert_eq!(code, 0, "{exceptions}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_a_proxy_are_named() {
    let answer = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
    let (port, connections) = answering(answer).await;
    let proxy = format!("http://me:SECRET@127.0.0.1:{port}");
    let (_, err) = repeating_call("https://provider.invalid/v1", &[("HTTPS_PROXY", &proxy)]);
    let text = format!(
        "refused by the proxy: proxy 127.0.0.1:{port} (HTTPS_PROXY) requires valid credentials (407); 1 attempt in"
    );
    let help = "hint: write user:password@ before the host in the URL of the proxy";
    assert_contains(&err, &[&text, help]);
    assert!(!err.contains("SECRET"), "{err}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);

    let (port, _) = answering("HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
    let proxy = format!("http://127.0.0.1:{port}");
    let (_, err) = failing_call("https://provider.invalid/v1", &[("HTTPS_PROXY", &proxy)]);
    let text = format!("proxy 127.0.0.1:{port} (HTTPS_PROXY) cannot connect to provider.invalid:443 (502)");
    assert_contains(&err, &[&text]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_without_tls_behind_https_is_named() {
    let (port, connections) = answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let (_, err) = repeating_call(&format!("https://127.0.0.1:{port}/v1"), &[]);
    let text = format!("wrong endpoint: 127.0.0.1:{port} answers without TLS; 1 attempt in");
    assert_contains(&err, &[&text, "hint: use http:// in base_url"]);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_of_a_forward_proxy_is_not_the_provider_s() {
    let answer = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 5\r\n\r\nhello";
    let (port, connections) = answering(answer).await;
    let proxy = format!("http://127.0.0.1:{port}");
    let (_, err) = repeating_call("http://provider.invalid/v1", &[("HTTP_PROXY", &proxy)]);
    let text = format!("proxy 127.0.0.1:{port} (HTTP_PROXY) requires valid credentials (407); 1 attempt in");
    assert_contains(&err, &[&text]);
    assert!(!err.contains("hello"), "{err}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_with_tls_behind_http_is_named() {
    let (port, _, connections) = counting_tls_proxy(String::new()).await;
    let (_, err) = repeating_call(&format!("http://127.0.0.1:{port}/v1"), &[]);
    let text = format!("wrong endpoint: 127.0.0.1:{port} expects TLS; 1 attempt in");
    assert_contains(&err, &[&text, "hint: use https:// in base_url"]);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
