//! The bot in the chat's own room.
#![allow(missing_docs, unreachable_pub)]

#[path = "../../chat/src/chat.rs"]
mod chat;

use std::{
    process::{Command, Output},
    time::Duration,
};

use bot::Login;
use chat_protocol::{Message, UserJoined, general};
use dialogue::Dialogue;
use dialogue_client::Client;
use tokio::{net::TcpListener, time::timeout};

use crate::chat::Chat;

async fn connect(url: &str, user_id: &'static str) -> Client {
    let login = move || async move { Login { user_id: user_id.into() } };
    Client::builder(url).auth(login).connect().await.unwrap()
}

/// What does not take long.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what).await.expect("it happens soon")
}

/// A chat, and where it is.
async fn open() -> (Dialogue<Chat>, String) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", tcp.local_addr().unwrap());
    let chat = Dialogue::builder(Chat).build().await.unwrap();
    let served = chat.clone();
    tokio::spawn(async move { served.serve_on(tcp, axum::Router::new()).await });
    (chat, url)
}

#[tokio::test]
async fn whoever_asks_for_help_is_answered() {
    let (_chat, url) = open().await;
    let ann = connect(&url, "ann").await;
    let room = ann.join(general::Room).await.unwrap();
    let (mut messages, mut joined) = (room.on::<Message>(), room.on::<UserJoined>());
    let bot = connect(&url, "helper").await;
    tokio::spawn(async move { bot::run(&bot).await });
    soon(async { while joined.next().await.unwrap().data.user_id != "helper" {} }).await;
    let say = |text: &str| Message { text: text.into(), reply_to: None };
    room.trigger(say("!help")).await.unwrap();
    let question = soon(messages.next()).await.unwrap();
    let answer = soon(messages.next()).await.unwrap();
    assert_eq!(&*answer.from, "helper");
    assert_eq!(answer.data.reply_to, question.id());
}

#[tokio::test]
async fn a_bot_that_is_thrown_out_says_so_and_fails() {
    let (chat, url) = open().await;
    let ann = connect(&url, "ann").await;
    let mut joined = ann.join(general::Room).await.unwrap().on::<UserJoined>();
    let bot = tokio::task::spawn_blocking(move || {
        let mut bot = Command::new(env!("CARGO_BIN_EXE_bot"));
        bot.env("CHAT", url).env("NAME", "helper").output().unwrap()
    });
    soon(async { while joined.next().await.unwrap().data.user_id != "helper" {} }).await;
    chat.clients_of("helper")[0].disconnect();
    let Output { status, stderr, .. } = soon(bot).await.unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(!status.success() && said.starts_with("the server ended the connection\n"), "{said}");
}
