//! What the contract promises, checked against what happened.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

/// An event as somebody saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub epoch: String,
    pub seq: u64,
    pub prev: u64,
    pub event: String,
    pub producer: String,
    pub n: u64,
}

impl Seen {
    pub fn of(message: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let number = |value: &Value| value.as_u64().expect("a number");
        Self {
            epoch: text(&message["epoch"]),
            seq: number(&message["seq"]),
            prev: number(&message["prev"]),
            event: text(&message["event"]),
            producer: text(&message["data"]["producer"]),
            n: number(&message["data"]["n"]),
        }
    }
}

/// What a consumer saw without being told that it missed something.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub epoch: String,
    /// Everything after this, of what it subscribed to.
    pub after: u64,
    pub seen: Vec<Seen>,
}

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What the store has, of each epoch.
    pub logs: HashMap<String, Vec<Seen>>,
    /// What producers were told is stored: who, and which.
    pub acknowledged: Vec<(String, u64)>,
    /// What each consumer saw, and which events it subscribed to.
    pub consumers: Vec<(Vec<String>, Vec<Stretch>)>,
    /// The epoch and last `seq` that every consumer is to have reached.
    pub end: Option<(String, u64)>,
}

impl Record {
    /// Panics with the first promise that was broken.
    pub fn check(&self) {
        if let Err(broken) = self.verdict() {
            panic!("{broken}");
        }
    }

    pub fn verdict(&self) -> Result<(), String> {
        for (epoch, log) in &self.logs {
            Self::places(epoch, log)?;
            Self::order(epoch, log)?;
        }
        self.once()?;
        for (n, (events, stretches)) in self.consumers.iter().enumerate() {
            for stretch in stretches {
                self.stretch(events, stretch)
                    .map_err(|broken| format!("consumer {n}: {broken}"))?;
            }
            self.reached(events, stretches).map_err(|broken| format!("consumer {n}: {broken}"))?;
        }
        Ok(())
    }

    /// `seq` is contiguous, and `prev` is the one before of the same name.
    fn places(epoch: &str, log: &[Seen]) -> Result<(), String> {
        let mut last: HashMap<&str, u64> = HashMap::new();
        for (n, seen) in (1..).zip(log) {
            let prev = last.insert(&seen.event, n).unwrap_or(0);
            if (seen.seq, seen.prev) != (n, prev) {
                return Err(format!("{epoch}: {seen:?} is in place {n}, after {prev}"));
            }
        }
        Ok(())
    }

    /// What a producer sent first is first.
    fn order(epoch: &str, log: &[Seen]) -> Result<(), String> {
        let mut last: HashMap<&str, u64> = HashMap::new();
        for seen in log {
            let before = last.insert(&seen.producer, seen.n).unwrap_or(0);
            if before >= seen.n {
                return Err(format!("{epoch}: {seen:?} is after its number {before}"));
            }
        }
        Ok(())
    }

    /// What was acknowledged is stored, and nothing is stored twice.
    fn once(&self) -> Result<(), String> {
        let mut stored = HashSet::new();
        for seen in self.logs.values().flatten() {
            if !stored.insert((seen.producer.clone(), seen.n)) {
                return Err(format!("{seen:?} is stored twice"));
            }
        }
        match self.acknowledged.iter().find(|sent| !stored.contains(*sent)) {
            Some(lost) => Err(format!("{lost:?} was acknowledged and is not stored")),
            None => Ok(()),
        }
    }

    /// A consumer saw exactly the log.
    fn stretch(&self, events: &[String], stretch: &Stretch) -> Result<(), String> {
        let Stretch { epoch, after, seen } = stretch;
        let Some(last) = seen.last() else { return Ok(()) };
        let Some(log) = self.logs.get(epoch) else {
            return Err(format!("it saw a log that is not stored: {epoch}"));
        };
        let range = log.iter().filter(|stored| stored.seq > *after && stored.seq <= last.seq);
        let expected: Vec<_> = range.filter(|stored| events.contains(&stored.event)).collect();
        let differs = expected.iter().zip(seen).find(|(expected, seen)| **expected != *seen);
        if let Some((expected, seen)) = differs {
            return Err(format!("it saw {seen:?} where {expected:?} was"));
        }
        if expected.len() != seen.len() {
            return Err(format!("it saw {} events of {}", seen.len(), expected.len()));
        }
        Ok(())
    }

    /// A consumer was told of the end.
    fn reached(&self, events: &[String], stretches: &[Stretch]) -> Result<(), String> {
        let Some((epoch, end)) = &self.end else { return Ok(()) };
        let log = self.logs.get(epoch).into_iter().flatten();
        let log = log.filter(|seen| seen.seq <= *end && events.contains(&seen.event));
        let last = log.map(|seen| seen.seq).max().unwrap_or(0);
        let stretch = stretches.last().filter(|stretch| stretch.epoch == *epoch);
        let reached =
            stretch.map(|stretch| stretch.seen.last().map_or(stretch.after, |seen| seen.seq));
        if reached.is_none_or(|reached| reached < last) {
            return Err(format!("it came as far as {reached:?}, of {last}"));
        }
        Ok(())
    }

    /// How much happened, for people.
    pub fn summary(&self) -> String {
        let stored: usize = self.logs.values().map(Vec::len).sum();
        let stretches: usize = self.consumers.iter().map(|(_, stretches)| stretches.len()).sum();
        let seen = self.consumers.iter().flat_map(|(_, stretches)| stretches);
        let seen: usize = seen.map(|stretch| stretch.seen.len()).sum();
        let producers: BTreeSet<_> = self.acknowledged.iter().map(|(who, _)| who).collect();
        format!(
            "{stored} stored in {} epochs, {} acknowledged to {} producers, {seen} seen by {} \
             consumers in {stretches} stretches",
            self.logs.len(),
            self.acknowledged.len(),
            producers.len(),
            self.consumers.len(),
        )
    }
}

/// Two producers, and consumers of one event and of both, as it should be.
fn sound() -> Record {
    let mut log = Vec::new();
    let mut last = HashMap::new();
    for seq in 1..=20_u64 {
        let event = ["tick", "tock"][usize::from(seq % 3 == 0)].to_owned();
        let prev = last.insert(event.clone(), seq).unwrap_or(0);
        let producer = ["ann", "bob"][usize::from(seq % 2 == 0)].to_owned();
        log.push(Seen { epoch: "e".into(), seq, prev, event, producer, n: seq });
    }
    let acknowledged = log.iter().map(|seen| (seen.producer.clone(), seen.n)).collect();
    let stretch = |after: u64, events: &[&str]| {
        let seen = log.iter().filter(|seen| seen.seq > after && events.contains(&&*seen.event));
        Stretch { epoch: "e".into(), after, seen: seen.cloned().collect() }
    };
    let both = ["tick", "tock"];
    let consumers = vec![
        (both.map(str::to_owned).to_vec(), vec![stretch(0, &both)]),
        (both.map(str::to_owned).to_vec(), vec![stretch(7, &both)]),
        (vec!["tock".to_owned()], vec![stretch(4, &["tock"])]),
    ];
    let logs = HashMap::from([("e".to_owned(), log)]);
    Record { logs, acknowledged, consumers, end: Some(("e".into(), 20)) }
}

#[test]
fn what_is_as_it_should_be_passes() {
    assert_eq!(sound().verdict(), Ok(()));
}

#[test]
fn every_broken_promise_is_found() {
    type Break = (&'static str, fn(&mut Record));
    let breaks: [Break; 13] = [
        ("a place is missing", |it| drop(it.logs.get_mut("e").unwrap().remove(5))),
        ("two places are swapped", |it| it.logs.get_mut("e").unwrap().swap(5, 6)),
        ("a place is taken twice", |it| {
            let log = it.logs.get_mut("e").unwrap();
            log.insert(5, log[5].clone());
        }),
        ("`prev` is another one's", |it| it.logs.get_mut("e").unwrap()[5].prev = 0),
        ("a producer's order is not kept", |it| {
            let log = it.logs.get_mut("e").unwrap();
            (log[3].n, log[5].n) = (log[5].n, log[3].n);
        }),
        ("something is stored twice", |it| {
            let log = it.logs.get_mut("e").unwrap();
            (log[19].producer, log[19].n) = (log[17].producer.clone(), log[17].n);
        }),
        ("what was acknowledged is not stored", |it| it.acknowledged.push(("ann".into(), 99))),
        ("a consumer missed one", |it| drop(it.consumers[0].1[0].seen.remove(9))),
        ("a consumer saw two in another order", |it| it.consumers[0].1[0].seen.swap(9, 10)),
        ("a consumer saw one twice", |it| {
            let seen = &mut it.consumers[1].1[0].seen;
            seen.insert(3, seen[3].clone());
        }),
        ("a consumer saw what it did not ask for", |it| {
            let other = it.logs["e"][18].clone();
            it.consumers[2].1[0].seen.push(other);
        }),
        ("a consumer missed the last one", |it| drop(it.consumers[0].1[0].seen.pop())),
        ("a consumer saw another log", |it| it.consumers[0].1[0].epoch = "f".into()),
    ];
    for (what, change) in breaks {
        let mut record = sound();
        change(&mut record);
        assert!(record.verdict().is_err(), "not found: {what}");
    }
}
