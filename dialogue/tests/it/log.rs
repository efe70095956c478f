//! What is logged, and what is not.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use serde_json::json;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    app::Test,
    lobby::{Lobby, Say, hall},
    peer::Peer,
    server::Server,
};

#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub fn take(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Logs this thread, which is the test's only one.
pub fn log(level: Level) -> (Lines, tracing::subscriber::DefaultGuard) {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

/// A user's id that would look like the end of what is logged of it.
const LIAR: &str = r#"eve"} ERROR fake"#;

#[tokio::test]
async fn server_that_listens_logs_its_address() {
    let (lines, _guard) = log(Level::INFO);
    let server = Server::start(Lobby::default()).await;
    server.guest("ann").await;
    let logged = lines.take();
    let expected = format!("listening on http://{}", server.address);
    assert!(logged.iter().any(|line| line.ends_with(&expected)), "{logged:?}");
}

#[tokio::test]
async fn there_is_one_line_per_event_within_the_spans_that_led_to_it() {
    let (lines, _guard) = log(Level::DEBUG);
    let server = Server::start(Lobby::default()).await;
    let mut ann = server.guest("ann").await;
    ann.join("hall").await;
    server.settled(|stats| stats.queued == 0).await;
    // What a hook logs is within its own span.
    let logged = lines.take();
    let within = r#"request{name="dialogue:join"}:hook{name="joined" room="hall"}"#;
    let hook = |line: &&String| line.contains(within) && line.contains("somebody is here");
    assert!(logged.iter().any(|line| hook(&line)), "{logged:?}");
    ann.trigger("hall", "say", json!({ "text": "hello" })).await;
    let of_events = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|line| line.contains("dialogue::event")).collect()
    };
    let logged = of_events(lines.take());
    let [line] = &*logged else { panic!("{logged:?}") };
    for part in [
        "connection{",
        r#"user="ann""#,
        r#"request{name="dialogue:trigger"}"#,
        r#"room="hall" event="say" from="ann" recipients=1"#,
    ] {
        assert!(line.contains(part), "{line}");
    }
    // What the server's own code names stays where it belongs.
    let say = server.dialogue.room(hall::Room).trigger(Say::new("hi"));
    say.from(LIAR).await.unwrap();
    let logged = of_events(lines.take());
    let [line] = &*logged else { panic!("{logged:?}") };
    assert!(line.contains(r#"from="eve\"} ERROR fake""#), "{line}");
}

#[tokio::test]
async fn duplicate_trigger_is_logged_as_one_and_handled_once() {
    let (lines, _guard) = log(Level::TRACE);
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    ann.join("open").await;
    // One room has hooks that see an event before it is stored; in the other one, the store finds out.
    for room in ["general", "open"] {
        lines.take();
        let data = json!({ "text": "hi" });
        let trigger = json!({ "roomId": room, "event": "message", "data": data, "key": "k" });
        for _ in 0..2 {
            assert_eq!(ann.ask("dialogue:trigger", trigger.clone()).await["ok"], true);
        }
        let of_events = |line: &String| line.contains("dialogue::event");
        let logged: Vec<_> = lines.take().into_iter().filter(of_events).collect();
        let [event, body, duplicate] = &*logged else { panic!("{logged:?}") };
        assert!(event.contains(r#"event="message" from="ann" recipients=1"#), "{event}");
        assert!(body.contains("TRACE"), "{body}");
        let expected = format!(r#"room={room:?} event="message" from="ann" duplicate=true"#);
        assert!(duplicate.contains(&expected), "{duplicate}");
    }
    server.settled(|stats| stats.queued == 0).await;
    let notes = server.dialogue.app().notes();
    for note in ["before hi", "on hi from ann", "second on hi", "open: hi"] {
        assert_eq!(notes.iter().filter(|own| *own == note).count(), 1, "{notes:?}");
    }
}

#[tokio::test]
async fn a_user_id_breaks_no_line() {
    let (lines, _guard) = log(Level::DEBUG);
    let server = Server::start(Lobby::default()).await;
    // What a terminal obeys, or takes for a new line, is no user's id at all.
    for id in [r"a\u001b[2Jb\nERROR", r"eve\u2028ERROR fake"] {
        let refused = Peer::connect(server.address, &format!(r#"{{"userId":"{id}"}}"#)).await;
        assert_eq!(refused.map(drop).unwrap_err()["code"], "UNAUTHENTICATED");
    }
    let mut eve = server.with_ticket(&json!({ "userId": LIAR }).to_string()).await;
    eve.join("hall").await;
    eve.trigger("hall", "say", json!({ "text": "deny each" })).await;
    eve.trigger("hall", "say", json!({ "text": "hi" })).await;
    let logged = lines.take();
    assert!(logged.iter().any(|line| line.contains(r#"eve\"} ERROR fake"#)), "{logged:?}");
    assert!(
        !logged.iter().any(|line| line.contains(LIAR) || line.contains('\u{1b}')),
        "{logged:?}"
    );
}

#[tokio::test]
async fn tokens_and_payloads_are_not_above_trace() {
    let secrets = ["S3CRET-TOKEN", "S3CRET-TEXT"];
    let talk = async || {
        let server = Server::start(Lobby::default()).await;
        let auth = json!({ "userId": "ann", "token": secrets[0] }).to_string();
        let mut ann = Peer::reply_only(server.address, &auth).await.unwrap();
        ann.event().await;
        ann.greeting().await;
        ann.join("hall").await;
        ann.trigger("hall", "say", json!({ "text": secrets[1] })).await;
        ann.trigger("hall", "say", json!({ "text": [secrets[1]] })).await;
        ann.trigger("hall", "say", json!({ "text": format!("panic each {}", secrets[1]) })).await;
        ann.ask("dialogue:authenticate", json!({ "token": secrets[0], "userId": "eve" })).await;
        ann.ask(secrets[0], json!(secrets[1])).await;
        ann.close().await;
        server.settled(|stats| stats.connections == 0).await;
    };
    let (lines, guard) = log(Level::DEBUG);
    talk().await;
    let logged = lines.take();
    assert!(logged.iter().any(|line| line.contains("dialogue::event")), "{logged:?}");
    let told = |line: &&String| secrets.iter().any(|secret| line.contains(secret));
    let revealing: Vec<_> = logged.iter().filter(told).collect();
    assert!(revealing.is_empty(), "{revealing:?}");
    drop(guard);

    let (lines, _guard) = log(Level::TRACE);
    talk().await;
    let body = |line: &String| line.contains("dialogue::event") && line.contains(secrets[1]);
    assert!(lines.take().iter().any(body));
}
