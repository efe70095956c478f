//! What is served over HTTP: the client's script, the app's own routes, long polling.

use axum::{Router, routing::get};
use dialogue::{Cors, Dialogue};
use serde_json::json;

use crate::{
    app::Test,
    polling::{Poller, fetch, request},
    server::{Server, unpaced},
};

async fn server() -> Server<Test> {
    let routes = Router::new()
        .route("/", get(async || "the app's own"))
        .fallback(async || (axum::http::StatusCode::NOT_FOUND, "the app's fallback"));
    Server::with_routes(Test::default(), unpaced(), routes).await
}

#[tokio::test]
async fn the_clients_script_is_served_and_cached() {
    let server = server().await;
    let (head, body) = fetch(server.address, "/dialogue/client.js", "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("text/javascript"), "{head}");
    assert_eq!(body, include_str!("../../assets/client.js"));
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let (head, body) =
        fetch(server.address, "/dialogue/client.js", &format!("if-none-match: {tag}\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 304"), "{head}");
    assert_eq!(body, "");
    let (head, _) = request(
        server.address,
        "DELETE /dialogue/client.js HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 405") && head.contains("allow: GET, HEAD"), "{head}");
}

#[tokio::test]
async fn a_script_is_known_by_any_of_the_tags_that_are_said() {
    let server = server().await;
    let status = async |known: &str| {
        let known = format!("if-none-match: {known}\r\n");
        let (head, _) = fetch(server.address, "/dialogue/client.js", &known).await;
        head.split(' ').nth(1).unwrap().to_owned()
    };
    let (head, _) = fetch(server.address, "/dialogue/client.js", "").await;
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    assert_eq!(status(&format!("\"other\", {tag}")).await, "304");
    assert_eq!(status(&format!("\"other\"\r\nif-none-match: {tag}")).await, "304");
    // A proxy that compresses makes a tag weak.
    assert_eq!(status(&format!("W/{tag}")).await, "304");
    assert_eq!(status("*").await, "304");
    assert_eq!(status("\"other\", W/\"another\"").await, "200");
}

#[tokio::test]
async fn a_servers_documents_have_heads_of_their_own() {
    let server = server().await;
    let paths = ["client.js", "contract.json", "asyncapi.json", "ready"];
    for path in paths.map(|path| format!("/dialogue/{path}")) {
        let head = format!("HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let (head, body) = request(server.address, &head).await;
        let (whole, text) = fetch(server.address, &path, "").await;
        assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head}");
        let length = format!("content-length: {}", text.len());
        assert!(head.contains(&length) && whole.contains(&length), "{head}");
    }
}

#[tokio::test]
async fn whatever_is_served_is_taken_for_what_it_says_it_is() {
    let builder = Dialogue::builder(Test::default()).cors(Cors::same_origin());
    let routes = Router::new().route("/", get(async || "the app's own"));
    let server = Server::built(builder.limits(unpaced()), routes).await;
    let safe = |(head, _): (String, String), status: &str| {
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        let said = head.lines().filter(|line| *line == "x-content-type-options: nosniff").count();
        assert_eq!(said, 1, "{head}");
    };
    let ask = async |method: &str, path: &str, headers: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        request(server.address, &format!("{head}content-length: 0\r\n{headers}\r\n")).await
    };
    for path in ["client.js", "contract.json", "asyncapi.json", "ready"] {
        let path = format!("/dialogue/{path}");
        safe(ask("GET", &path, "").await, "200");
        safe(ask("DELETE", &path, "").await, "405");
        let page = "origin: http://x\r\naccess-control-request-method: GET\r\n";
        safe(ask("OPTIONS", &path, page).await, "200");
    }
    safe(ask("GET", "/dialogue/client.js", "if-none-match: *\r\n").await, "304");
    let open = "/socket.io/?EIO=4&transport=polling";
    safe(ask("GET", open, "").await, "200");
    safe(ask("GET", open, "origin: http://evil.example.com\r\n").await, "403");
    safe(ask("GET", "/socket.io/?EIO=3&transport=polling", "").await, "400");
    safe(ask("GET", &format!("{open}&sid=nobodys"), "").await, "400");
    let poller = Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    safe(poller.post("2").await, "200");
    let key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = format!("connection: upgrade\r\nupgrade: websocket\r\n{key}");
    let foreign = format!("{upgrade}origin: http://evil.example.com\r\n");
    safe(ask("GET", "/socket.io/?EIO=4&transport=websocket", &foreign).await, "403");
    // The app's own answers are the app's.
    let (head, _) = ask("GET", "/", "").await;
    assert!(!head.contains("nosniff"), "{head}");
}

#[tokio::test]
async fn whatever_a_server_refuses_for_want_of_places_is_taken_for_what_it_says_it_is() {
    let mut limits = unpaced();
    limits.connections_per_address = 0;
    let builder = Dialogue::builder(Test::default()).proxies(["127.0.0.1"]);
    let server = Server::built(builder.limits(limits.clone()), Router::new()).await;
    let path = "/socket.io/?EIO=4&transport=polling";
    let (head, _) = fetch(server.address, path, "x-forwarded-for: 192.0.2.1\r\n").await;
    assert!(head.starts_with("HTTP/1.1 429") && head.contains("nosniff"), "{head}");

    let server = Server::with_limits(Test::default(), limits).await;
    let (head, _) = fetch(server.address, path, "").await;
    assert!(head.starts_with("HTTP/1.1 429") && head.contains("nosniff"), "{head}");
}

#[tokio::test]
async fn websocket_request_without_upgrade_is_told_what_it_lacks() {
    let server = server().await;
    let key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let path = "/socket.io/?EIO=4&transport=websocket";
    for (version, header) in
        [("1.1", "x: y"), ("1.1", "upgrade: h2c"), ("1.0", "upgrade: websocket")]
    {
        let head = format!(
            "GET {path} HTTP/{version}\r\nhost: x\r\nconnection: close\r\n{key}\r\n{header}\r\n\r\n"
        );
        let (head, body) = request(server.address, &head).await;
        assert!(head.contains(" 426 ") && body.contains("does a proxy drop it?"), "{head}\n{body}");
    }
    assert_eq!(server.dialogue.stats().addresses, 0);
}

#[tokio::test]
async fn page_of_another_origin_may_read_why_it_is_refused() {
    let page = "https://page.example.com";
    let mut limits = unpaced();
    limits.connections_per_address = 1;
    let builder = Dialogue::builder(Test::default()).cors(Cors::origins([page]));
    let server = Server::built(builder.limits(limits), Router::new()).await;
    let _ann = server.connect("ann").await;
    let refused = async |origin: &str, status: &str| {
        let path = "/socket.io/?EIO=4&transport=polling";
        let (head, _) = fetch(server.address, path, &format!("origin: {origin}\r\n")).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        head
    };
    let head = refused(page, "429").await;
    assert!(head.contains(&format!("access-control-allow-origin: {page}")), "{head}");
    assert!(head.contains("access-control-expose-headers: retry-after"), "{head}");
    assert!(head.contains("\r\nretry-after: "), "{head}");
    let head = refused("https://other.example.com", "403").await;
    assert!(!head.contains("access-control-allow-origin"), "{head}");
}

#[tokio::test]
async fn the_apps_routes_and_fallback_answer_the_rest() {
    let server = server().await;
    assert_eq!(fetch(server.address, "/", "").await.1, "the app's own");
    assert_eq!(fetch(server.address, "/else", "").await.1, "the app's fallback");
    server.connect("ann").await;
}

#[tokio::test]
async fn polling_has_the_same_payload_limit() {
    let server = server().await;
    let poller = Poller::connect(server.address, r#"{"userId":"ann"}"#, "").await.unwrap();
    let long = "x".repeat(1_000_001);
    let frame = format!("42{}", json!(["dialogue:trigger", { "roomId": long }]));
    let (head, _) = poller.post(&frame).await;
    assert!(!head.starts_with("HTTP/1.1 200"), "{head}");
    server.connect("bob").await;
}

#[tokio::test]
async fn cookies_reach_no_hook() {
    let server = server().await;
    // The test's app refuses this user if it sees a cookie.
    let auth = r#"{"userId":"cookie"}"#;
    Poller::connect(server.address, auth, "cookie: session=1\r\n").await.unwrap();
}

#[tokio::test]
async fn a_client_id_opens_nobodys_transport() {
    let server = server().await;
    let guest = Poller::connect(server.address, "{}", "").await.unwrap();
    let greeting = guest.poll().await;
    let greeting: serde_json::Value = serde_json::from_str(&greeting[0][2..]).unwrap();
    let id = greeting[1]["clientId"].as_str().unwrap();
    let thief = Poller::of(server.address, id);
    let (head, _) = thief.post(r#"42["dialogue:join",{"roomId":"general"}]"#).await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    assert_eq!(server.dialogue.stats().members, 0);
}

/// A second attempt to connect would come a second later, and the next ones later still.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn many_connections_may_wait_to_be_accepted() {
    const WAITING: usize = 500;
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    if most.trim().parse::<usize>().unwrap() < WAITING {
        return;
    }
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    // Nobody accepts.
    let _listener = dialogue::listen(tcp);
    let connect = |_| tokio::net::TcpStream::connect(address);
    let all = futures_util::future::try_join_all((0..WAITING).map(connect));
    let all = tokio::time::timeout(std::time::Duration::from_secs(20), all).await;
    assert_eq!(all.expect("all find a place").unwrap().len(), WAITING);
}
