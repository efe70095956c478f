//! Pages, some rows at a time: neither memory nor the database is asked for more than is wanted.

use std::slice;

use super::{
    super::{LogId, Page, Part, Query, weight},
    CHUNK, Result, Tables, signed, stored,
};

/// Where a read goes on, and which way.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum From {
    /// Oldest first.
    After(i64),
    /// Newest first.
    Before(i64),
}

impl From {
    /// The same way, past this event.
    fn past(self, seq: i64) -> Self {
        match self {
            Self::After(_) => Self::After(seq),
            Self::Before(_) => Self::Before(seq),
        }
    }
}

pub(in crate::store) async fn read(
    tables: &impl Tables,
    log: &LogId,
    query: &Query,
) -> Result<Page> {
    let (names, mut from) = match &query.part {
        Part::Newest { event, skip: 0 } => (slice::from_ref(event), From::Before(i64::MAX)),
        Part::Newest { event, skip } => {
            let Some(newest) = tables.newest(log, event, signed(*skip)).await? else {
                return Ok(Page::default());
            };
            (slice::from_ref(event), From::Before(newest + 1))
        }
        Part::After { seq, events } => (&events[..], From::After(signed(*seq))),
        Part::Before { seq, events } => (&events[..], From::Before(signed(*seq))),
    };
    let (mut found, mut bytes) = (Vec::new(), 0);
    // One more than the page may have says whether there is more.
    while found.len() <= query.limit && bytes <= query.bytes {
        let wanted = (query.limit - found.len()).saturating_add(1).min(CHUNK);
        let left = signed(query.bytes - bytes);
        let rows = tables.events(log, names, from, signed(wanted), left).await?;
        let all = rows.len() < wanted;
        for row in rows {
            from = from.past(row.2);
            let event = stored(&log.room, row)?;
            bytes += weight(&event);
            found.push(event);
        }
        if all {
            break;
        }
    }
    // A log that was deleted meanwhile, and begun anew, has nothing to do with what was read of it.
    let epoch = found.first().and_then(|event| event.position).map(|position| position.epoch);
    found.retain(|event| event.position.map(|position| position.epoch) == epoch);
    Ok(Page::of(found, query))
}
