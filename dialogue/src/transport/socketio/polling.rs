//! Long polling: packets leave with the answer to a poll, and arrive as the body of an upload.

use std::{
    collections::VecDeque, convert::Infallible, future::poll_fn, pin::pin, sync::Arc, task::Poll,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;

use super::frames::Packets;
use crate::connection::{
    outgoing::{MAX_BEFORE_SESSION, Outgoing, is_greeting},
    packet::{Counted, Packet},
    transports::Transport,
};

/// Separates packets in the body of a poll or upload.
const SEPARATOR: u8 = 0x1E;
/// Engine.IO's noop packet, with which socketioxide answers polls while a client upgrades.
const NOOP: &[u8] = b"6";

/// Maximum size of the answer to a poll in bytes, unless one packet is longer: a client answers heartbeats only
/// between polls.
const MAX_ANSWER: usize = 16_384;

/// Answers a poll with socketioxide's own packets (`engine`) and queued packets.
pub(crate) async fn poll(
    transport: &Transport,
    engine: impl Future<Output = Result<Response, Infallible>>,
) -> Response {
    enum Ready {
        Engine(Response),
        Packets(Vec<Packet>),
    }
    let mut engine = pin!(engine);
    let outgoing = transport.outgoing();
    let ready = poll_fn(|cx| {
        // socketioxide's packets first: the greeting must precede every packet.
        if let Poll::Ready(Ok(response)) = engine.as_mut().poll(cx) {
            return Poll::Ready(Ready::Engine(response));
        }
        match outgoing.take_packets(MAX_ANSWER, cx.waker()) {
            none if none.is_empty() => Poll::Pending,
            packets => Poll::Ready(Ready::Packets(packets)),
        }
    });
    let response = match ready.await {
        Ready::Packets(packets) => return answer(outgoing, Vec::new(), &packets),
        Ready::Engine(response) => response,
    };
    let (parts, body) = response.into_parts();
    let Ok(text) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if parts.status != StatusCode::OK || text.is_empty() || *text == *NOOP {
        return Response::from_parts(parts, text.into());
    }
    if text.split(|byte| *byte == SEPARATOR).any(is_greeting) {
        outgoing.open();
    }
    let packets =
        outgoing.take_packets(MAX_ANSWER.saturating_sub(text.len()), std::task::Waker::noop());
    answer(outgoing, text.into(), &packets)
}

/// Builds a poll answer. Its packets count towards the queue's limits until the answer is written.
fn answer(outgoing: &Arc<Outgoing>, mut text: Vec<u8>, packets: &[Packet]) -> Response {
    let length = packets.iter().map(|packet| packet.len() + 1).sum();
    let weight = packets.iter().map(Packet::weight).sum();
    text.reserve_exact(length);
    for packet in packets {
        if !text.is_empty() {
            text.push(SEPARATOR);
        }
        for part in packet.parts() {
            text.extend_from_slice(part);
        }
    }
    let text = Counted::new(text, outgoing.process());
    let polled = Polled { text, outgoing: outgoing.clone(), packets: packets.len(), weight };
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=UTF-8")];
    (headers, Body::from(Bytes::from_owner(polled))).into_response()
}

/// The body of an answer, until it is written.
struct Polled {
    text: Counted,
    outgoing: Arc<Outgoing>,
    packets: usize,
    weight: usize,
}

impl AsRef<[u8]> for Polled {
    fn as_ref(&self) -> &[u8] {
        self.text.as_ref()
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        self.outgoing.left(self.packets, self.weight, &mut VecDeque::new());
    }
}

/// Charges the body of an upload to the budget of the client's address while it arrives, and rejects it at
/// a limit.
pub(crate) fn upload(transport: &Transport, request: Request) -> Request {
    let (transport, mut held) = (transport.clone(), transport.holding());
    let (mut received, mut packets) = (0, Packets::default());
    let mut take = move |chunk: Result<Bytes, axum::Error>| {
        // A chunk is a slice of the connection's read buffer, which is larger.
        let chunk = Bytes::copy_from_slice(&chunk?);
        received += chunk.len();
        let early = !transport.outgoing().was_open();
        if early && transport.count_early(chunk.len()) > MAX_BEFORE_SESSION {
            return Err(axum::Error::new(UploadError::BeforeSession));
        }
        if !held.set(received) {
            return Err(axum::Error::new(UploadError::OverBudget));
        }
        if !chunk.iter().all(|byte| packets.follow(*byte)) {
            return Err(axum::Error::new(UploadError::ForbiddenPacket));
        }
        let messages = chunk.split(|byte| *byte == SEPARATOR).count();
        let wait = transport.intake().received(chunk.len(), messages);
        Ok((chunk, wait))
    };
    request.map(|body| {
        Body::from_stream(body.into_data_stream().then(move |chunk| {
            let taken = take(chunk);
            async move {
                let (chunk, wait) = taken?;
                if let Some(wait) = wait {
                    tokio::time::sleep(wait).await;
                }
                Ok::<_, axum::Error>(chunk)
            }
        }))
    })
}

/// Counts a request against the client's rate. Waits while the client has sent more than that allows.
pub(crate) async fn admit(transport: &Transport) {
    if let Some(wait) = transport.intake().received(0, 1) {
        tokio::time::sleep(wait).await;
    }
}

/// Why an upload is rejected.
#[derive(Debug, thiserror::Error)]
enum UploadError {
    #[error("the client sent more than {MAX_BEFORE_SESSION} bytes before its session began")]
    BeforeSession,
    #[error("the upload exceeds `Limits::address_bytes` or `Limits::total_bytes`")]
    OverBudget,
    #[error("the upload has a packet that clients must not send")]
    ForbiddenPacket,
}
