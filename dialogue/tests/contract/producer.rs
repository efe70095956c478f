//! Sends numbered events, each until it is acknowledged.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::link::{Gone, Link};

/// Sends until told to stop; returns which numbers were acknowledged. `pause` is between two of them,
/// `next` finds the server.
pub async fn produce(
    name: String,
    mut address: watch::Receiver<SocketAddr>,
    stop: watch::Receiver<bool>,
    pause: Duration,
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
            match attempt(&mut link, &mut address, &name, &request).await {
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
