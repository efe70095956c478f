//! Requests of Socket.IO's: which transport they are of, and what each brings and takes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Version, header},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use hyper_util::rt::TokioIo;
use socketioxide::socket::Sid;
use tokio::sync::oneshot;
use tower::Service;
use tungstenite::handshake::derive_accept_key;

use super::{gateway::EndpointService, websocket::WebSocket};
use crate::{
    Limits,
    connection::transports::{Transport, Transports},
    transport::http::{listener::IsWebSocket, tcp_connections::Serving},
    web::head,
};

/// What the answer to the request that opens a transport may have, in bytes.
const OPENING: usize = 65_536;
/// How much later than the transport the server ends a connection that does not answer the transport's heartbeat.
const MARGIN: Duration = Duration::from_secs(1);

/// What a request asks for.
#[derive(Clone, Copy)]
pub(crate) enum Asked {
    /// A new transport.
    Open,
    /// What waits for a client that polls.
    Poll(Sid),
    /// To take what a client that polls sends.
    Upload(Sid),
    /// A WebSocket, by itself or in place of polls.
    WebSocket(Option<Sid>),
    /// Nothing that there is.
    Wrong,
    /// A WebSocket, without the header that says so.
    NoUpgrade,
}

impl Asked {
    pub(crate) fn of(request: &Request) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let value = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name));
        let sid = match value("sid=").map(str::parse::<Sid>) {
            None => None,
            Some(Ok(sid)) => Some(sid),
            Some(Err(_)) => return Self::Wrong,
        };
        if value("EIO=") != Some("4") {
            return Self::Wrong;
        }
        match (value("transport="), request.method(), sid) {
            (Some("polling"), &Method::GET, None) => Self::Open,
            (Some("polling"), &Method::GET, Some(sid)) => Self::Poll(sid),
            (Some("polling"), &Method::POST, Some(sid)) => Self::Upload(sid),
            (Some("websocket"), &Method::GET, sid)
                if request.headers().contains_key(header::SEC_WEBSOCKET_KEY) =>
            {
                if upgrades(request) { Self::WebSocket(sid) } else { Self::NoUpgrade }
            }
            _ => Self::Wrong,
        }
    }

    /// Whether a transport is opened.
    pub(crate) fn opens(&self) -> bool {
        matches!(self, Self::Open | Self::WebSocket(None))
    }

    /// The transport that is open already.
    pub(crate) fn names(&self) -> Option<Sid> {
        match *self {
            Self::Poll(sid) | Self::Upload(sid) => Some(sid),
            Self::WebSocket(sid) => sid,
            Self::Open | Self::Wrong | Self::NoUpgrade => None,
        }
    }
}

/// Opens a transport for polls, which name it from here on.
pub(crate) async fn open(
    transports: &Transports,
    transport: &Transport,
    engine: impl Future<Output = Result<Response, Infallible>>,
) -> Response {
    let Ok(response) = engine.await;
    let (parts, body) = response.into_parts();
    let Ok(text) = axum::body::to_bytes(body, OPENING).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let sid = text.strip_prefix(b"0").and_then(|json| {
        #[derive(serde::Deserialize)]
        struct Opened<'a> {
            sid: &'a str,
        }
        Some(serde_json::from_slice::<Opened<'_>>(json).ok()?.sid.to_owned())
    });
    if let Some(sid) = sid {
        transports.name(&sid, transport);
    }
    Response::from_parts(parts, text.into())
}

/// Switches to a WebSocket: of a new transport or, with `end`, of one that polls so far. `end` ends it if
/// the client does not go on by the WebSocket: the transport answers no more polls then.
pub(crate) fn upgrade<S>(
    mut endpoint: EndpointService<S>,
    limits: &Limits,
    transport: Transport,
    serving: Option<Arc<Serving>>,
    mut request: Request,
    end: Option<impl Future<Output = ()> + Send + 'static>,
) -> Response
where
    S: Clone + Send + 'static,
{
    let accept = request.headers().get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let accept = accept.map(derive_accept_key).unwrap_or_default();
    let upgraded = hyper::upgrade::on(&mut request);
    let write_time = limits.write_time;
    // The transport has its own timer for these, and says why the connection ends.
    let heartbeat_time = write_time.max(limits.heartbeat_timeout + MARGIN);
    let is_websocket = request.extensions().get::<IsWebSocket>().cloned();
    tokio::spawn(async move {
        let stream = match upgraded.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => return tracing::trace!(%error, "a connection broke"),
        };
        if let Some(is_websocket) = is_websocket {
            is_websocket.set();
        }
        let (outgoing, held) = (transport.outgoing().clone(), transport.holding());
        let intake = transport.intake().clone();
        // The transport's own are its request's, which stays as long as the connection.
        drop(transport);
        let (told, opened) = oneshot::channel();
        let told = end.is_some().then_some(told);
        let stream = WebSocket::new(stream, outgoing, held, intake, write_time, told);
        let stream = stream.heartbeat_time(heartbeat_time);
        if let Some(Err(error)) = endpoint.call((stream, request.map(drop))).now_or_never() {
            tracing::debug!(%error, "a WebSocket is not taken");
        }
        let Some(end) = end else { return };
        match (opened.await, serving) {
            (Ok(()), Some(serving)) => serving.upgraded(),
            (Ok(()), None) => {}
            // Without a word, it was dropped before the client went on by it.
            (Err(_), _) => end.await,
        }
    });
    let headers = [
        (header::UPGRADE, "websocket"),
        (header::CONNECTION, "Upgrade"),
        (header::SEC_WEBSOCKET_ACCEPT, &*accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

/// The answer to a request that names no transport that there is, as Engine.IO gives it.
pub(crate) fn unknown() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let error = r#"{"code":"1","message":"Session ID unknown"}"#;
    (StatusCode::BAD_REQUEST, json, error).into_response()
}

/// The answer to a request that is none of Engine.IO's. It goes no further: the transport reads requests
/// less strictly, and would serve some of them past everything that is counted.
pub(crate) fn wrong() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::BAD_REQUEST, json, r#"{"code":"3","message":"Bad request"}"#).into_response()
}

/// The answer to a request for a WebSocket that lacks what makes it one. Proxies drop it that are not told to pass it
/// on.
pub(crate) fn no_upgrade() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json"), (header::UPGRADE, "websocket")];
    let error = r#"{"code":"3","message":"a WebSocket needs HTTP/1.1 and the header `Upgrade: websocket`: does a proxy drop it?"}"#;
    (StatusCode::UPGRADE_REQUIRED, json, error).into_response()
}

/// Whether a request asks for a WebSocket, in the only version of HTTP that can.
fn upgrades(request: &Request) -> bool {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    let asked = upgrade.is_some_and(|value| value.trim().eq_ignore_ascii_case("websocket"));
    asked && request.version() == Version::HTTP_11
}

/// Whether a head is longer than it may be.
pub(crate) fn is_too_long(request: &Request, limits: &Limits) -> bool {
    head::size(request) > limits.head
}
