//! Whatever a client sends, it gets an error or is closed, and others go on.

use serde_json::{Value, json};

use crate::{
    app::Test,
    peer::{Incoming, Peer},
    server::Server,
};

/// Someone else in the same room, who must not notice.
async fn bystander(server: &Server<Test>) -> Peer {
    server.join("bystander", "general").await
}

async fn unharmed(server: &Server<Test>, bystander: &mut Peer) {
    let answer = bystander.trigger("general", "message", json!({ "text": "still here" })).await;
    assert_eq!(answer["ok"], true);
    assert_eq!(bystander.message().await["data"]["text"], "still here");
    server.settled(|stats| stats.connections == 1).await;
    bystander.silent().await;
}

#[tokio::test]
async fn requests_of_a_wrong_shape_are_invalid() {
    let server = Server::start(Test::default()).await;
    let mut bystander = bystander(&server).await;
    let mut ann = server.connect("ann").await;
    let requests = [
        r#"["dialogue:join"]"#,
        r#"["dialogue:join",null]"#,
        r#"["dialogue:join",{}]"#,
        r#"["dialogue:join",[]]"#,
        r#"["dialogue:join","general"]"#,
        r#"["dialogue:join",{"roomId":1}]"#,
        r#"["dialogue:join",{"roomId":null}]"#,
        r#"["dialogue:join",{"roomId":"general","subscribe":"message"}]"#,
        r#"["dialogue:join",{"roomId":"general","subscribe":[1]}]"#,
        r#"["dialogue:join",{"roomId":"general"},"extra"]"#,
        r#"["dialogue:join",{"roomId":"general","roomId":"open"}]"#,
        r#"["dialogue:trigger",{"roomId":"general"}]"#,
        r#"["dialogue:trigger",{"roomId":"general","event":7}]"#,
        r#"["dialogue:trigger",{"roomId":"general","event":"message","meta":"text"}]"#,
        r#"["dialogue:getHistory",{"roomId":"general","eventName":"message","start":-1}]"#,
        r#"["dialogue:getHistory",{"roomId":"general","eventName":"message","end":1.5}]"#,
        r#"["dialogue:getHistory",{"roomId":"general","eventName":"message","end":"9"}]"#,
        r#"["dialogue:subscribe",{"roomId":"general"}]"#,
        r#"["dialogue:subscribe",{"roomId":"general","eventName":"dialogue:x"}]"#,
        r#"["dialogue:dance",{}]"#,
        r#"["dialogue:"]"#,
        r#"["hello",{"roomId":"general"}]"#,
    ];
    for (n, request) in requests.iter().enumerate() {
        ann.send_text(format!("42{n}{request}")).await;
        match ann.incoming().await {
            Incoming::Ack(id, answer) => {
                assert_eq!(
                    (id, &answer["code"]),
                    (n as u64, &json!("INVALID_REQUEST")),
                    "{request}"
                );
                assert!(!answer["message"].as_str().unwrap().is_empty());
            }
            other => panic!("{request}: {other:?}"),
        }
        ann.send_text(format!("42{request}")).await;
        let (name, error) = ann.event().await;
        assert_eq!(
            (&*name, &error["code"]),
            ("dialogue:error", &json!("INVALID_REQUEST")),
            "{request}"
        );
    }
    // Ids with escapes are ids all the same.
    ann.send_text(r#"427["dialogue:join",{"roomId":"gener\u0061l"}]"#).await;
    match ann.incoming().await {
        Incoming::Ack(7, answer) => assert_eq!(answer["roomId"], "general"),
        other => panic!("{other:?}"),
    }
    drop(ann);
    unharmed(&server, &mut bystander).await;
}

#[tokio::test]
async fn what_is_not_the_protocol_closes_or_is_ignored() {
    let server = Server::start(Test::default()).await;
    let mut bystander = bystander(&server).await;
    for frame in [
        r#"42["dialogue:join","#,
        "42{}",
        "42[]",
        "42[1]",
        "42",
        "42[\"dialogue:join\",{\"roomId\":\"general\"}",
        "9",
        "4",
        "4x",
        "",
        "\u{0}\u{0}",
        "4299999999999999999999999[\"dialogue:join\",{}]",
        "42/other,[\"dialogue:join\",{}]",
        r#"451-["dialogue:trigger",{"_placeholder":true,"num":0}]"#,
        r#"4511-["dialogue:trigger",{"_placeholder":true,"num":0}]"#,
    ] {
        let mut ann = server.connect("ann").await;
        ann.send_text(frame).await;
        // Whatever became of it, the connection answers once more or is closed; it does not hang.
        ann.try_send_text(r#"42555["dialogue:listRooms"]"#).await;
        loop {
            match ann.incoming().await {
                Incoming::Disconnected => break,
                Incoming::Ack(555, answer) => {
                    assert_eq!(answer["ok"], true);
                    break;
                }
                Incoming::Event(name, error) => {
                    assert_eq!(
                        (&*name, &error["code"]),
                        ("dialogue:error", &json!("INVALID_REQUEST"))
                    );
                }
                other => panic!("{frame:?}: {other:?}"),
            }
        }
    }
    unharmed(&server, &mut bystander).await;
}

#[tokio::test]
async fn binary_attachments_are_refused() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "general").await;
    ann.send_text(r#"451-3["dialogue:trigger",{"roomId":"general","event":"message","data":{"_placeholder":true,"num":0}}]"#).await;
    ann.send_binary(b"bytes").await;
    match ann.incoming().await {
        Incoming::Ack(3, answer) => assert_eq!(answer["code"], "INVALID_REQUEST"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn message_with_too_many_objects_is_rejected() {
    let server = Server::start(Test::default()).await;
    let mut ann = server.join("ann", "open").await;
    // The message itself has three of 20,000.
    for (count, ok) in [(19_997, true), (19_998, false), (300_000, false)] {
        let data = json!({ "list": vec![json!([]); count - 1], "text": "[{".repeat(30_000) });
        let answer = ann.trigger("open", "x", data).await;
        assert_eq!(answer["ok"], ok, "{count}: {answer}");
        assert_eq!(answer["code"] == "LIMIT_EXCEEDED", !ok, "{count}: {answer}");
    }
}

#[tokio::test]
async fn deep_json_is_refused() {
    let server = Server::start(Test::default()).await;
    let mut bystander = bystander(&server).await;
    let mut ann = server.join("ann", "open").await;
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    // The message itself takes two of 32 levels.
    for (depth, ok) in [(30, true), (31, false), (1_000, false), (200_000, false)] {
        let data = nested(depth);
        let frame =
            format!(r#"427["dialogue:trigger",{{"roomId":"open","event":"x","data":{data}}}]"#);
        ann.send_text(frame).await;
        loop {
            match ann.incoming().await {
                Incoming::Ack(7, answer) if ok => {
                    assert_eq!(answer["ok"], true, "{answer}");
                    break;
                }
                Incoming::Ack(7, answer) => {
                    assert_eq!(answer["code"], "INVALID_REQUEST");
                    break;
                }
                Incoming::Event(..) => {}
                other => panic!("{depth}: {other:?}"),
            }
        }
    }
    drop(ann);
    unharmed(&server, &mut bystander).await;
}

#[tokio::test]
async fn a_long_message_is_handled_and_a_longer_one_closes_the_connection() {
    let server = Server::start(Test::default()).await;
    let mut bystander = bystander(&server).await;
    let mut ann = server.join("ann", "general").await;
    let answer = ann.trigger("general", "message", json!({ "text": "x".repeat(900_000) })).await;
    assert_eq!(answer["code"], "VALIDATION_FAILED");
    // The text itself is not sent back.
    assert!(answer.to_string().len() < 1_000);
    let answer =
        ann.trigger("general", "message", json!({ "text": 1, "x": "y".repeat(900_000) })).await;
    assert!(answer.to_string().len() < 1_000);
    let answer = ann.ask("dialogue:join", Value::String("x".repeat(900_000))).await;
    assert!(answer.to_string().len() < 1_000, "{} bytes", answer.to_string().len());

    let text = "x".repeat(1_000_001);
    ann.try_send_text(format!(r#"42["dialogue:trigger",{{"text":"{text}"}}]"#)).await;
    assert_eq!(ann.incoming().await, Incoming::Disconnected);
    unharmed(&server, &mut bystander).await;
}

#[tokio::test]
async fn credentials_of_any_kind_never_panic() {
    let server = Server::start(Test::default()).await;
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    for auth in ["[]", "1", "\"text\"", "null", r#"{"userId":1}"#, r#"{"userId":null}"#, &deep] {
        match Peer::connect(server.address, auth).await {
            Ok(peer) => assert_eq!(peer.user_id, peer.client_id, "{auth}"),
            Err(error) => assert_eq!(error["code"], "UNAUTHENTICATED", "{auth}"),
        }
    }
}
