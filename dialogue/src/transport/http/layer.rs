//! The layer that puts Dialogue in front of an app's own routes.

use std::{
    convert::Infallible,
    fmt, future,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::future::BoxFuture;
use tower::{Layer, Service, service_fn};

use super::tcp_connections::Serving;
use crate::{
    App, Dialogue, Error,
    connection::{refusals::Limit, transports::Transport},
    transport::socketio::{
        endpoint::{self, Asked},
        gateway::{EndpointService, Gateway},
        polling,
    },
    web::{document::Document, head},
};

/// The TypeScript client, bundled for browsers from `dialogue-client/typescript`.
static CLIENT: LazyLock<Document> =
    LazyLock::new(|| Document::javascript(include_str!("../../../assets/client.js")));
const CLIENT_PATH: &str = "/dialogue/client.js";
const CONTRACT_PATH: &str = "/dialogue/contract.json";
const ASYNCAPI_PATH: &str = "/dialogue/asyncapi.json";
/// Where load balancers ask whether new connections are welcome.
const READY_PATH: &str = "/dialogue/ready";
/// What no path of Socket.IO may start with.
const OWN_PATH: &str = "/dialogue";
/// What the paths of Socket.IO's requests start with, unless the app says otherwise.
pub(crate) const DEFAULT_PATH: &str = "/socket.io";

/// Checks what the paths of Socket.IO's requests are to start with.
pub(crate) fn check_path(path: &str) -> Result<(), Error> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(unreserved);
    let segments = path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
    if segments && !starts_with(path, OWN_PATH) {
        Ok(())
    } else {
        Err(Error::Path(path.to_owned()))
    }
}

/// Whether a path is another one, or below it.
fn starts_with(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers `/socket.io/`, or where [`Builder::path`](crate::Builder::path) puts it, `/dialogue/client.js`, `/dialogue/ready` and, unless the contract
/// [is not published](crate::Builder::publish_contract), `/dialogue/contract.json` and
/// `/dialogue/asyncapi.json`; leaves every other path to the routes below. Made by [`Dialogue::layer`].
#[must_use = "a layer does nothing until a router has it"]
pub struct DialogueLayer<A: App> {
    dialogue: Dialogue<A>,
}

impl<A: App> fmt::Debug for DialogueLayer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialogueLayer").finish_non_exhaustive()
    }
}

impl<A: App> DialogueLayer<A> {
    pub(crate) fn new(dialogue: Dialogue<A>) -> Self {
        Self { dialogue }
    }
}

impl<A: App> Clone for DialogueLayer<A> {
    fn clone(&self) -> Self {
        Self { dialogue: self.dialogue.clone() }
    }
}

impl<A: App, S: Clone> Layer<S> for DialogueLayer<A> {
    type Service = DialogueService<A, S>;

    fn layer(&self, routes: S) -> Self::Service {
        let endpoint = Gateway::of(&self.dialogue).endpoint().layer(routes);
        DialogueService { endpoint, held: self.dialogue.clone() }
    }
}

/// The service that [`DialogueLayer`] makes.
pub struct DialogueService<A: App, S: Clone> {
    endpoint: EndpointService<S>,
    /// Keeps the server alive while it is served: sessions are opened only then.
    held: Dialogue<A>,
}

impl<A: App, S: Clone> fmt::Debug for DialogueService<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialogueService").finish_non_exhaustive()
    }
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
        if path == READY_PATH {
            return Box::pin(typed(documents(&self.held, request)));
        }
        let mut endpoint = self.endpoint.clone();
        if starts_with(path, self.held.path()) {
            return Box::pin(typed(connect(&self.held, request, endpoint)));
        }
        let serving = match Serving::begin(&request, None, false) {
            Ok(serving) => serving,
            Err(limit) => {
                return Box::pin(typed(future::ready(Ok(refuse(&self.held, &request, limit)))));
            }
        };
        if document(&self.held, path).is_some() {
            let answered = typed(documents(&self.held, request));
            return Box::pin(async { Ok(until_written(serving, answered.await?)) });
        }
        let response = Service::<Request>::call(&mut endpoint, request);
        Box::pin(async { Ok(until_written(serving, response.await?.map(Body::new))) })
    }
}

/// Answers what Dialogue serves besides Socket.IO.
fn documents<A: App>(
    dialogue: &Dialogue<A>,
    request: Request,
) -> impl Future<Output = Result<Response, Infallible>> + Send + use<A> {
    let held = dialogue.clone();
    let answer = service_fn(move |request| future::ready(Ok(answer(&held, &request))));
    dialogue.gate().layer.layer(answer).call(request)
}

/// Refuses a request over a limit.
fn refuse<A: App>(dialogue: &Dialogue<A>, request: &Request, limit: Limit) -> Response {
    let source = dialogue.proxies().source(request.headers(), request.extensions());
    dialogue.refusals().note(limit, source);
    limit.answer()
}

/// Counts a connection as serving until the answer is written.
fn until_written(serving: Option<Arc<Serving>>, answer: Response) -> Response {
    match serving {
        Some(serving) => serving.until_written(answer),
        None => answer,
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
    // Pages of other origins may read why they are refused.
    let refused = |request, response| {
        let mut response = Some(response);
        let answer = move |_: Request| future::ready(Ok(response.take().unwrap_or_default()));
        Box::pin(dialogue.gate().layer.layer(service_fn(answer)).call(request))
    };
    let (gate, limits) = (dialogue.gate(), dialogue.limits());
    if endpoint::is_too_long(&request, limits) {
        return now(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response());
    }
    let proxied = dialogue.proxies().sent(request.extensions());
    if let Err(foreign) = gate.admits(request.headers(), request.uri(), proxied) {
        return now((StatusCode::FORBIDDEN, foreign.to_string()).into_response());
    }
    if !gate.cookies {
        request.headers_mut().remove(header::COOKIE);
        // What a browser remembers of a login, it adds to the requests of any page.
        if request.headers().contains_key(header::ORIGIN) {
            request.headers_mut().remove(header::AUTHORIZATION);
        }
    }
    let asked = Asked::of(&request);
    let open = asked.names().and_then(|sid| dialogue.transports().find(sid.as_str()));
    let serving = match Serving::begin(&request, open.as_ref(), matches!(asked, Asked::Poll(_))) {
        Ok(serving) => serving,
        Err(limit) => {
            let answer = refuse(dialogue, &request, limit);
            return refused(request, answer);
        }
    };
    let transport = if asked.opens() {
        if dialogue.stopping().is_draining() {
            return refused(request, draining());
        }
        let source = dialogue.proxies().source(request.headers(), request.extensions());
        let transport = match dialogue.transports().open(source, head::size(&request)) {
            Ok(transport) => transport,
            Err(limit) => {
                let answer = refuse(dialogue, &request, limit);
                return refused(request, answer);
            }
        };
        if let Some(serving) = &serving {
            serving.opened(&transport);
        }
        head::copy(&mut request);
        request.extensions_mut().insert(transport.clone());
        Some(transport)
    } else {
        open
    };
    let upload = request.method() == Method::POST;
    let time = limits.request_time;
    let held = dialogue.clone();
    let carrying = serving.clone();
    let answer = move |mut request| {
        if asked.names().is_some() {
            head::shorten(&mut request);
        }
        let answered = answer_endpoint(
            held.clone(),
            asked,
            transport.clone(),
            carrying.clone(),
            request,
            endpoint.clone(),
        );
        async move {
            if !upload {
                return answered.await;
            }
            let answered = tokio::time::timeout(time, answered).await;
            answered.unwrap_or_else(|_| Ok(StatusCode::REQUEST_TIMEOUT.into_response()))
        }
    };
    let answered = gate.layer.layer(service_fn(answer)).call(request);
    Box::pin(async move { Ok(until_written(serving, answered.await?)) })
}

/// Answers a request of Socket.IO's.
async fn answer_endpoint<A, S, B>(
    dialogue: Dialogue<A>,
    asked: Asked,
    transport: Option<Transport>,
    serving: Option<Arc<Serving>>,
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
        (Asked::NoUpgrade, _) => endpoint::no_upgrade(),
        (Asked::Open, Some(transport)) => {
            endpoint::open(dialogue.transports(), &transport, engine(request)).await
        }
        (Asked::Poll(_), Some(transport)) => {
            polling::admit(&transport).await;
            polling::poll(&transport, engine(request)).await
        }
        (Asked::Upload(_), Some(transport)) => {
            polling::admit(&transport).await;
            engine(polling::upload(&transport, request)).await?
        }
        (Asked::WebSocket(sid), Some(transport)) => {
            let (mut engine, path) = (endpoint.clone(), dialogue.path().to_owned());
            let end = sid.map(|sid| async move {
                let uri = format!("{path}/?EIO=4&transport=polling&sid={sid}");
                let close = Request::post(uri).body(Body::from("1"));
                if let Ok(close) = close {
                    let _ = Service::<Request>::call(&mut engine, close).await;
                }
            });
            endpoint::upgrade(endpoint, limits, transport, serving, request, end)
        }
        (_, None) => endpoint::unknown(),
    })
}

/// Whether new connections are welcome, and events can be stored.
fn ready<A: App>(dialogue: &Dialogue<A>) -> Response {
    if dialogue.stopping().is_draining() {
        return draining();
    }
    if !dialogue.store().is_ready() {
        // Why is in the log: paths are none of a client's business.
        let headers = [(header::CACHE_CONTROL, "no-store"), (header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, headers, "store unavailable").into_response();
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
