//! Sends numbered events, each until it is acknowledged.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    link::{Gone, Link},
    world::Dice,
};

/// How many of its connections break while it waits for an answer: one in so many triggers.
const BREAKS: u64 = 10;

/// Sends to wherever the server is until told to stop, with a pause after each; returns which numbers were
/// acknowledged.
pub async fn produce(
    name: String,
    mut address: watch::Receiver<SocketAddr>,
    stop: watch::Receiver<bool>,
    pause: Duration,
    mut dice: Dice,
) -> Vec<(String, u64)> {
    let mut acknowledged = Vec::new();
    let mut link = None;
    for n in 1.. {
        if *stop.borrow() {
            break;
        }
        let event = if n % 4 == 0 { "tock" } else { "tick" };
        let request = json!({
            "roomId": "square",
            "event": event,
            "data": { "producer": name, "n": n },
            "key": format!("{name}-{n}"),
        });
        loop {
            let attempt = attempt(&mut link, &mut address, &name, &request);
            let answered = if dice.below(BREAKS) == 0 {
                let patience = dice.millis(0, 5);
                tokio::time::timeout(patience, attempt).await.unwrap_or(Err(Gone))
            } else {
                attempt.await
            };
            match answered {
                Ok(answer) if answer["ok"] == true => break,
                Ok(answer) => {
                    // Whatever else it is, it passes.
                    let code = answer["code"].as_str().unwrap_or_default();
                    let passes = ["STORE_UNAVAILABLE", "DRAINING", "LIMIT_EXCEEDED"];
                    assert!(passes.contains(&code), "{answer}");
                }
                Err(Gone) => link = None,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        acknowledged.push((name.clone(), n));
        tokio::time::sleep(pause).await;
    }
    acknowledged
}

async fn attempt(
    link: &mut Option<Link>,
    address: &mut watch::Receiver<SocketAddr>,
    name: &str,
    request: &Value,
) -> Result<Value, Gone> {
    if link.is_none() {
        let address = *address.borrow_and_update();
        let mut opened = Link::open(address, name, None).await?;
        let join = json!({ "roomId": "square", "subscribe": [] });
        let joined = opened.ask("dialogue:join", join).await?;
        if joined["ok"] != true {
            return Ok(joined);
        }
        *link = Some(opened);
    }
    let Some(link) = link else { return Err(Gone) };
    link.ask("dialogue:trigger", request.clone()).await
}
