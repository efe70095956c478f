//! Pages of which origins may connect, and what they bring along.

use axum::{Router, routing::post};
use dialogue::{App, Cors, Deny, Dialogue, Error, Event, Handshake, Identity};
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error as WsError, client::IntoClientRequest, http::HeaderValue},
};
use tracing::Level;

use crate::{
    log::log,
    polling::{Poller, fetch, request},
    server::Server,
};

#[derive(Serialize, Deserialize, JsonSchema, Event)]
struct Ping;

#[dialogue::room("board", app = Shop, events(Ping))]
mod board {}

/// An app that takes a cookie for who somebody is.
struct Shop;

struct Customer(String);

impl Identity for Customer {
    fn user_id(&self) -> &str {
        &self.0
    }
}

#[dialogue::app(rooms(board))]
impl App for Shop {
    type Credentials = serde::de::IgnoredAny;
    type Identity = Customer;

    async fn authenticate(
        &self,
        _: serde::de::IgnoredAny,
        handshake: &Handshake,
    ) -> Result<Customer, Deny> {
        let cookie = handshake.headers().get("cookie").and_then(|cookie| cookie.to_str().ok());
        let session = cookie.and_then(|cookie| cookie.strip_prefix("session="));
        Ok(Customer(session.unwrap_or("nobody").to_owned()))
    }

    async fn socket_connected(&self, socket: &dialogue::Socket) {
        // Cookies are kept from the raw socket as well.
        let cookie = socket.req_parts().headers.contains_key("cookie");
        socket.emit("cookie", &cookie).unwrap();
    }
}

async fn shop(cors: Cors) -> Server<Shop> {
    let dialogue = Dialogue::builder(Shop).cors(cors).build().await.unwrap();
    let login = Router::new().route("/login", post(async || "welcome")).layer(dialogue.cors());
    let routes = login.route("/own", post(async || "own"));
    Server::serving(dialogue, routes).await
}

/// The status with which an upgrade from a page is answered.
async fn upgrade(server: &Server<Shop>, origin: Option<&str>) -> u16 {
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", server.address);
    let mut request = url.into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", HeaderValue::from_str(origin).unwrap());
    }
    match connect_async(request).await {
        Ok((mut socket, response)) => {
            assert!(socket.next().await.unwrap().unwrap().to_text().unwrap().starts_with('0'));
            response.status().as_u16()
        }
        Err(WsError::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

/// How a poll from a page is answered: status, and who may read it.
async fn poll(server: &Server<Shop>, origin: Option<&str>) -> (u16, Option<String>, bool) {
    let headers = origin.map_or(String::new(), |origin| format!("origin: {origin}\r\n"));
    let (head, _) = fetch(server.address, "/socket.io/?EIO=4&transport=polling", &headers).await;
    read(&head)
}

fn read(head: &str) -> (u16, Option<String>, bool) {
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim_start_matches(": ").to_owned())
    };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let credentials = header("access-control-allow-credentials").as_deref() == Some("true");
    (status, header("access-control-allow-origin"), credentials)
}

#[tokio::test]
async fn by_default_any_page_connects_and_no_cookie_gets_through() {
    let server = shop(Cors::any()).await;
    for origin in [None, Some("https://evil.example.com"), Some("null")] {
        assert_eq!(upgrade(&server, origin).await, 101);
        assert_eq!(poll(&server, origin).await, (200, Some("*".into()), false));
    }
    let headers = "cookie: session=ann\r\norigin: https://evil.example.com\r\n";
    let poller = Poller::connect(server.address, "{}", headers).await.unwrap();
    let told = poller.poll().await.join(" ");
    assert!(
        told.contains(r#""userId":"nobody""#) && told.contains(r#"["cookie",false]"#),
        "{told}"
    );
}

#[tokio::test]
async fn with_a_list_other_pages_get_403_on_every_transport() {
    let own = "https://myapp.com";
    let server = shop(Cors::origins([own, "https://admin.myapp.com"])).await;
    for origin in [own, "https://admin.myapp.com"] {
        assert_eq!(upgrade(&server, Some(origin)).await, 101);
        assert_eq!(poll(&server, Some(origin)).await, (200, Some(origin.into()), true));
    }
    for origin in
        ["https://evil.example.com", "https://myapp.com.evil.org", "http://myapp.com", "null"]
    {
        assert_eq!(upgrade(&server, Some(origin)).await, 403, "{origin}");
        assert_eq!(poll(&server, Some(origin)).await.0, 403, "{origin}");
    }
    // What is no page writes no origin.
    assert_eq!(upgrade(&server, None).await, 101);
    assert_eq!(poll(&server, None).await.0, 200);

    let headers = format!("cookie: session=ann\r\norigin: {own}\r\n");
    let poller = Poller::connect(server.address, "{}", &headers).await.unwrap();
    let told = poller.poll().await.join(" ");
    assert!(told.contains(r#""userId":"ann""#), "{told}");
    // A page that got in cannot be spoken for by another.
    let (head, _) = poller.post_with("41", "origin: https://evil.example.com\r\n").await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
}

#[tokio::test]
async fn only_pages_of_the_server_itself_may_connect() {
    let server = shop(Cors::same_origin()).await;
    let own = format!("http://{}", server.address);
    assert_eq!(upgrade(&server, Some(&own)).await, 101);
    assert_eq!(upgrade(&server, Some("http://localhost:1")).await, 403);
    for scheme in ["ftp", "chrome-extension", "file"] {
        let foreign = format!("{scheme}://{}", server.address);
        assert_eq!(upgrade(&server, Some(&foreign)).await, 403, "{scheme}");
        assert_eq!(poll(&server, Some(&foreign)).await.0, 403, "{scheme}");
    }
    assert_eq!(poll(&server, Some("https://evil.example.com")).await.0, 403);
    assert_eq!(upgrade(&server, None).await, 101);
}

#[tokio::test]
async fn forwarded_host_of_a_trusted_proxy_is_the_servers_own() {
    let forwarded = "origin: https://chat.org\r\nx-forwarded-host: chat.org\r\n";
    for (proxies, status) in
        [(vec!["127.0.0.0/8"], "200"), (vec!["10.0.0.1"], "403"), (vec![], "403")]
    {
        let (lines, _guard) = log(Level::INFO);
        let builder = Dialogue::builder(Shop).cors(Cors::same_origin());
        let server = Server::built(builder.proxies(proxies.clone()), Router::new()).await;
        let told = lines.take().iter().filter(|line| line.contains("X-Forwarded-Host")).count();
        assert_eq!(told, usize::from(!proxies.is_empty()), "{proxies:?}");
        let open = "/socket.io/?EIO=4&transport=polling";
        let (head, body) = fetch(server.address, open, forwarded).await;
        assert!(head.contains(status), "{proxies:?}: {head}");
        if status == "403" {
            assert!(body.contains("the server's host is `x` by `Host`"), "{body}");
        }
    }
}

#[tokio::test]
async fn without_credentials_a_cookie_is_not_seen() {
    let own = "https://myapp.com";
    let server = shop(Cors::origins([own]).credentials(false)).await;
    assert_eq!(poll(&server, Some(own)).await, (200, Some(own.into()), false));
    let headers = format!("cookie: session=ann\r\norigin: {own}\r\n");
    let poller = Poller::connect(server.address, "{}", &headers).await.unwrap();
    assert!(poller.poll().await.join(" ").contains(r#""userId":"nobody""#));
}

#[tokio::test]
async fn the_layer_is_for_the_routes_that_it_is_put_on() {
    let server = shop(Cors::origins(["https://myapp.com"]).methods(["POST"])).await;
    let ask = async |method: &str, path: &str, origin: &str, more: &str| {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\
             origin: {origin}\r\n{more}\r\n"
        );
        request(server.address, &head).await
    };
    let (head, body) = ask("POST", "/login", "https://myapp.com", "").await;
    assert_eq!((read(&head).1.as_deref(), &*body), (Some("https://myapp.com"), "welcome"));
    assert_eq!(read(&ask("POST", "/login", "https://evil.org", "").await.0).1, None);
    assert_eq!(read(&ask("POST", "/own", "https://myapp.com", "").await.0).1, None);
    // What a browser asks first.
    let wish = "access-control-request-method: POST\r\naccess-control-request-headers: x-trace\r\n";
    for path in ["/login", "/socket.io/?EIO=4&transport=polling"] {
        let (head, _) = ask("OPTIONS", path, "https://myapp.com", wish).await;
        assert_eq!(read(&head), (200, Some("https://myapp.com".into()), true), "{path}");
        assert!(head.contains("access-control-allow-methods: POST"), "{head}");
        assert!(head.contains("access-control-allow-headers: x-trace"), "{head}");
    }
}

#[tokio::test]
async fn what_is_no_origin_method_or_proxy_is_told_when_the_server_is_built() {
    for cors in [
        Cors::origins(["myapp.com"]),
        Cors::any().methods(["GE T"]),
        Cors::origins(["https://x.org"]).methods(["*"]),
    ] {
        let refused = Dialogue::builder(Shop).cors(cors).build().await.map(drop);
        assert!(matches!(refused, Err(Error::Cors(_))));
    }
    let refused = Dialogue::builder(Shop).proxies(["proxy.local"]).build().await.map(drop);
    assert!(matches!(refused, Err(Error::Proxy(text)) if text == "proxy.local"));
}

const DOCUMENTS: [&str; 3] =
    ["/dialogue/client.js", "/dialogue/contract.json", "/dialogue/asyncapi.json"];

/// How a document is answered to a page, and whether a browser may ask for it in a way that needs leave.
async fn document(server: &Server<Shop>, path: &str, origin: &str) -> [(u16, Option<String>); 2] {
    let origin = format!("origin: {origin}\r\n");
    let (head, _) = fetch(server.address, path, &origin).await;
    let asks = "access-control-request-method: GET\r\nconnection: close\r\n\r\n";
    let preflight = format!("OPTIONS {path} HTTP/1.1\r\nhost: x\r\n{origin}{asks}");
    let (preflight, _) = request(server.address, &preflight).await;
    [head, preflight].map(|head| {
        let (status, allowed, _) = read(&head);
        (status, allowed)
    })
}

#[tokio::test]
async fn pages_that_may_connect_may_import_the_client() {
    let own = "https://myapp.com";
    let any = shop(Cors::any()).await;
    let listed = shop(Cors::origins([own])).await;
    let same = shop(Cors::same_origin()).await;
    for path in DOCUMENTS {
        let answers = document(&any, path, own).await;
        assert_eq!(answers, [(200, Some("*".into())), (200, Some("*".into()))], "{path}");
        let answers = document(&listed, path, own).await;
        assert_eq!(answers, [(200, Some(own.into())), (200, Some(own.into()))], "{path}");
        // Whoever may not read it is told nothing.
        let answers = document(&listed, path, "https://evil.example.com").await;
        assert_eq!(answers, [(200, None), (200, None)], "{path}");
        assert_eq!(document(&same, path, own).await, [(200, None), (200, None)], "{path}");
    }
}
