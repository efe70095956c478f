//! The layer that puts Dialogue in front of an app's own routes.

use std::{
    convert::Infallible,
    future,
    sync::LazyLock,
    task::{Context, Poll},
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use tower::{Layer, Service, service_fn};

use super::{
    crowd::Transport,
    document::Document,
    endpoint::{self, Asked},
    gateway::{Endpoint, EndpointService},
    head,
    hook::BoxFuture,
    polling,
};
use crate::{App, Dialogue};

/// The TypeScript client, bundled for browsers from `dialogue-client/typescript`.
static CLIENT: LazyLock<Document> =
    LazyLock::new(|| Document::javascript(include_str!("../../assets/client.js")));
const CLIENT_PATH: &str = "/dialogue/client.js";
const CONTRACT_PATH: &str = "/dialogue/contract.json";
const ASYNCAPI_PATH: &str = "/dialogue/asyncapi.json";
/// Where load balancers ask whether new connections are welcome.
const READY_PATH: &str = "/dialogue/ready";
/// What the paths of Socket.IO's requests start with.
const ENDPOINT_PATH: &str = "/socket.io";

/// Answers `/socket.io/`, `/dialogue/client.js`, `/dialogue/ready` and, unless the contract
/// [is not published](crate::Builder::publish_contract), `/dialogue/contract.json` and
/// `/dialogue/asyncapi.json`; leaves every other path to the routes below. Made by [`Dialogue::layer`].
pub struct DialogueLayer<A: App> {
    dialogue: Dialogue<A>,
    endpoint: Endpoint,
}

impl<A: App> DialogueLayer<A> {
    pub(crate) fn new(dialogue: Dialogue<A>, endpoint: Endpoint) -> Self {
        Self { dialogue, endpoint }
    }
}

impl<A: App> Clone for DialogueLayer<A> {
    fn clone(&self) -> Self {
        Self { dialogue: self.dialogue.clone(), endpoint: self.endpoint.clone() }
    }
}

impl<A: App, S: Clone> Layer<S> for DialogueLayer<A> {
    type Service = DialogueService<A, S>;

    fn layer(&self, routes: S) -> Self::Service {
        DialogueService { endpoint: self.endpoint.layer(routes), held: self.dialogue.clone() }
    }
}

/// The service that [`DialogueLayer`] makes.
pub struct DialogueService<A: App, S: Clone> {
    endpoint: EndpointService<S>,
    /// Sessions are opened only while somebody holds the server: whoever serves it does.
    held: Dialogue<A>,
}

impl<A: App, S: Clone> Clone for DialogueService<A, S> {
    fn clone(&self) -> Self {
        Self { endpoint: self.endpoint.clone(), held: self.held.clone() }
    }
}

impl<A, S, B> Service<Request> for DialogueService<A, S>
where
    A: App,
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = axum::body::Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.endpoint, cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let path = request.uri().path();
        if path == READY_PATH || document(&self.held, path).is_some() {
            let held = self.held.clone();
            let answer = service_fn(move |request| future::ready(Ok(answer(&held, &request))));
            return Box::pin(typed(self.held.gate().layer.layer(answer).call(request)));
        }
        let ours = path.strip_prefix(ENDPOINT_PATH);
        let ours = ours.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let mut endpoint = self.endpoint.clone();
        if ours {
            return Box::pin(typed(connect(&self.held, request, endpoint)));
        }
        let response = Service::<Request>::call(&mut endpoint, request);
        Box::pin(async { Ok(response.await?.map(Body::new)) })
    }
}

/// Has browsers take an answer for what its `Content-Type` says, and for no script that it looks like:
/// what clients sent may be in it.
async fn typed(
    answer: impl Future<Output = Result<Response, Infallible>>,
) -> Result<Response, Infallible> {
    let mut answer = answer.await?;
    let nosniff = HeaderValue::from_static("nosniff");
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    Ok(answer)
}

/// Answers what asks for a document, or whether the server is ready.
fn answer<A: App>(dialogue: &Dialogue<A>, request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    match document(dialogue, request.uri().path()) {
        Some(document) => document.answer(request.headers()),
        None => ready(dialogue),
    }
}

/// What is served at a path.
fn document<'a, A: App>(dialogue: &'a Dialogue<A>, path: &str) -> Option<&'a Document> {
    match path {
        CLIENT_PATH => Some(&CLIENT),
        CONTRACT_PATH => Some(&dialogue.published()?.contract),
        ASYNCAPI_PATH => Some(&dialogue.published()?.asyncapi),
        _ => None,
    }
}

/// Lets a request of Socket.IO's through to its endpoint, if the page that it comes from may
/// connect, and if it arrives in time.
fn connect<A, S, B>(
    dialogue: &Dialogue<A>,
    mut request: Request,
    endpoint: EndpointService<S>,
) -> BoxFuture<'static, Result<Response, Infallible>>
where
    A: App,
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = axum::body::Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let now = |response: Response| Box::pin(future::ready(Ok(response)));
    let (gate, limits) = (dialogue.gate(), dialogue.limits());
    if endpoint::is_too_long(&request, limits) {
        return now(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response());
    }
    if !gate.admits(request.headers(), request.uri()) {
        return now((StatusCode::FORBIDDEN, "pages of this origin may not connect").into_response());
    }
    if !gate.cookies {
        request.headers_mut().remove(header::COOKIE);
        // What a browser remembers of a login, it adds to the requests of any page.
        if request.headers().contains_key(header::ORIGIN) {
            request.headers_mut().remove(header::AUTHORIZATION);
        }
    }
    let asked = Asked::of(&request);
    let transport = if asked.opens() {
        if dialogue.stopping().is_draining() {
            return now(draining());
        }
        let address = dialogue.proxies().client(request.headers(), request.extensions());
        let Some(transport) = dialogue.transports().open(address, head::size(&request)) else {
            return now((StatusCode::TOO_MANY_REQUESTS, "too many connections").into_response());
        };
        head::copy(&mut request);
        request.extensions_mut().insert(transport.clone());
        Some(transport)
    } else {
        asked.names().and_then(|sid| dialogue.transports().find(sid))
    };
    let upload = request.method() == Method::POST;
    let time = limits.request_time;
    let held = dialogue.clone();
    let answer = move |request| {
        answer_endpoint(held.clone(), asked, transport.clone(), request, endpoint.clone())
    };
    let answered = gate.layer.layer(service_fn(answer)).call(request);
    Box::pin(async move {
        if !upload {
            return answered.await;
        }
        match tokio::time::timeout(time, answered).await {
            Ok(answered) => answered,
            Err(_) => Ok(StatusCode::REQUEST_TIMEOUT.into_response()),
        }
    })
}

/// Answers a request of Socket.IO's.
async fn answer_endpoint<A, S, B>(
    dialogue: Dialogue<A>,
    asked: Asked,
    transport: Option<Transport>,
    request: Request,
    mut endpoint: EndpointService<S>,
) -> Result<Response, Infallible>
where
    A: App,
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = axum::body::Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let limits = dialogue.limits();
    let mut engine = |request: Request| {
        let response = Service::<Request>::call(&mut endpoint, request);
        async { Ok(response.await?.map(Body::new)) }
    };
    Ok(match (asked, transport) {
        (Asked::Wrong, _) => endpoint::wrong(),
        (Asked::Open, Some(transport)) => {
            endpoint::open(dialogue.transports(), &transport, engine(request)).await
        }
        (Asked::Poll(_), Some(transport)) => {
            polling::admit(&transport).await;
            polling::poll(&transport, limits.payload, engine(request)).await
        }
        (Asked::Upload(_), Some(transport)) => {
            polling::admit(&transport).await;
            engine(polling::upload(&transport, request)).await?
        }
        (Asked::WebSocket(sid), Some(transport)) => {
            let mut engine = endpoint.clone();
            let end = sid.map(|sid| async move {
                let uri = format!("{ENDPOINT_PATH}/?EIO=4&transport=polling&sid={sid}");
                let close = Request::post(uri).body(Body::from("1"));
                if let Ok(close) = close {
                    let _ = Service::<Request>::call(&mut engine, close).await;
                }
            });
            endpoint::upgrade(endpoint, limits, transport, request, end)
        }
        (_, None) => endpoint::unknown(),
    })
}

/// Whether new connections are welcome.
fn ready<A: App>(dialogue: &Dialogue<A>) -> Response {
    if dialogue.stopping().is_draining() {
        return draining();
    }
    ([(header::CACHE_CONTROL, "no-store")], "ready").into_response()
}

fn draining() -> Response {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::RETRY_AFTER, "1"),
        (header::CONNECTION, "close"),
    ];
    (StatusCode::SERVICE_UNAVAILABLE, headers, "draining").into_response()
}
