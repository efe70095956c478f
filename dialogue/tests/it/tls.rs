//! Credentials that arrive unencrypted are warned of.

use std::net::SocketAddr;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request},
    http::header,
};
use dialogue::{Cors, Dialogue, Encrypted};
use tower::{Layer, Service};
use tracing::Level;

use crate::{
    lobby::Lobby,
    log::{Lines, log},
    server::unpaced,
};

const SECRET: &str = "S3CRET";
const TOKEN: &str = r#"40{"userId":"ann","token":"S3CRET"}"#;
const PROXY: &str = "10.0.0.1";
/// A public address, which is nobody's.
const CLIENT: &str = "192.0.2.1";

/// A server whose connections come from where a test says.
struct Remote {
    dialogue: Dialogue<Lobby>,
    lines: Lines,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Remote {
    async fn start() -> Self {
        let (lines, guard) = log(Level::WARN);
        let builder = Dialogue::builder(Lobby::default()).limits(unpaced());
        // Cookies and `Authorization` count for pages of the server itself.
        let builder = builder.cors(Cors::same_origin()).proxies([PROXY]);
        Self { dialogue: builder.build().await.unwrap(), lines, _guard: guard }
    }

    /// Connects by polling from an address; returns what is logged.
    async fn connect(&self, socket: &str, headers: &[(&str, &str)], connect: &str) -> Vec<String> {
        self.connect_by(socket, headers, connect, false).await
    }

    async fn connect_by(
        &self,
        socket: &str,
        headers: &[(&str, &str)],
        connect: &str,
        encrypted: bool,
    ) -> Vec<String> {
        let mut service = self.dialogue.layer().layer(Router::new());
        let mut ask = async |method: &str, session: &str, body: &str| {
            let uri = format!("/socket.io/?EIO=4&transport=polling{session}");
            let mut request = Request::builder().method(method).uri(uri).header("host", "chat.org");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let address: SocketAddr = SocketAddr::new(socket.parse().unwrap(), 1);
            request = request.extension(ConnectInfo(address));
            if encrypted {
                request = request.extension(Encrypted);
            }
            let request = request.body(Body::from(body.to_owned())).unwrap();
            let answer = service.call(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            let body = to_bytes(answer.into_body(), 10_000).await.unwrap();
            String::from_utf8(body.to_vec()).unwrap()
        };
        let open = ask("GET", "", "").await;
        let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
        let session = format!("&sid={}", open["sid"].as_str().unwrap());
        ask("POST", &session, connect).await;
        let reply = ask("GET", &session, "").await;
        assert!(reply.starts_with("40") || reply.starts_with("44"), "{reply}");
        self.lines.take()
    }
}

fn is_warning_of(lines: &[String], advice: &str) -> bool {
    let [line] = lines else { return false };
    line.contains("WARN") && line.contains(advice) && !line.contains(SECRET)
}

#[tokio::test]
async fn credentials_from_another_machine_are_warned_of_once() {
    let server = Remote::start().await;
    let logged = server.connect(CLIENT, &[], TOKEN).await;
    assert!(is_warning_of(&logged, "serve behind a proxy that ends TLS"), "{logged:?}");
    assert!(logged[0].contains(CLIENT), "{logged:?}");
    assert_eq!(server.connect(CLIENT, &[], TOKEN).await, Vec::<String>::new());
    assert_eq!(server.connect("2001:db8::1", &[], TOKEN).await, Vec::<String>::new());
}

#[tokio::test]
async fn credentials_in_headers_are_warned_of() {
    for header in [header::AUTHORIZATION, header::COOKIE] {
        let server = Remote::start().await;
        let logged = server.connect(CLIENT, &[(header.as_str(), SECRET)], "40").await;
        assert!(is_warning_of(&logged, "serve behind a proxy"), "{header} {logged:?}");
    }
}

#[tokio::test]
async fn credentials_that_are_none_that_do_not_leave_the_machine_or_are_encrypted_are_not_warned_of()
 {
    let server = Remote::start().await;
    let none: Vec<String> = Vec::new();
    for nothing in ["40", "40{}"] {
        assert_eq!(server.connect(CLIENT, &[], nothing).await, none, "{nothing}");
    }
    for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(server.connect(loopback, &[], TOKEN).await, none, "{loopback}");
    }
    assert_eq!(server.connect_by(CLIENT, &[], TOKEN, true).await, none);
    let proxied = [("x-forwarded-for", CLIENT), ("x-forwarded-proto", "https")];
    assert_eq!(server.connect(PROXY, &proxied, TOKEN).await, none);
    let local = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http")];
    assert_eq!(server.connect(PROXY, &local, TOKEN).await, none);
    // What is no trusted proxy says nothing.
    let logged = server.connect(CLIENT, &proxied, TOKEN).await;
    assert!(is_warning_of(&logged, "serve behind a proxy"), "{logged:?}");
}

#[tokio::test]
async fn cookie_that_does_not_count_is_not_warned_of() {
    let mut server = Remote::start().await;
    server.dialogue = Dialogue::builder(Lobby::default()).limits(unpaced()).build().await.unwrap();
    let logged = server.connect(CLIENT, &[("cookie", SECRET)], "40").await;
    assert_eq!(logged, Vec::<String>::new());
}

#[tokio::test]
async fn credentials_that_a_trusted_proxy_got_unencrypted_are_warned_of() {
    let server = Remote::start().await;
    let client = ("x-forwarded-for", CLIENT);
    let logged = server.connect(PROXY, &[client, ("x-forwarded-proto", "http")], TOKEN).await;
    assert!(is_warning_of(&logged, "redirect `http` to `https`"), "{logged:?}");
    let logged = server.connect(PROXY, &[client], TOKEN).await;
    assert!(is_warning_of(&logged, "set `X-Forwarded-Proto`"), "{logged:?}");
}
