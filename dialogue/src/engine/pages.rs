//! Pages of history.

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    hub::Hub,
    live::Live,
    shared_reads::{Age, Entry, SHARED_FOR},
};
use crate::{
    Epoch,
    store::{Page, Query, erased::Unavailable},
};

impl Live {
    /// A page of the log as it is now, and where it ends.
    pub(crate) async fn page(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        query: Query,
    ) -> Result<(Epoch, u64, Arc<Page>), Unavailable> {
        self.refresh(hub).await?;
        if !self.is_stored() {
            return Ok((self.with_log(|log| log.epoch)?, 0, Arc::default()));
        }
        let (epoch, seq, page) = self.read(hub, query, Age::Current).await?;
        // The store may have had more by the time that it answered.
        let read = page.events.iter().filter_map(|event| event.position);
        let read = read.filter(|at| at.epoch == epoch).map(|at| at.seq).max();
        Ok((epoch, seq.max(read.unwrap_or(0)), page))
    }

    /// Reads a part of the log, which is open, or takes part in what another reads. Says of which log, and
    /// up to where it is read at least.
    pub(crate) async fn read(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        query: Query,
        age: Age,
    ) -> Result<(Epoch, u64, Arc<Page>), Unavailable> {
        let (epoch, seq) = self.with_log(|log| (log.epoch, log.seq))?;
        if let Some(entry) = self.reads.find(&query)
            && self.with_log(|log| entry.is(age, log))?
        {
            let page = entry.reading.clone().await;
            if page.is_err() {
                self.reads.remove(&query, &entry.reading);
            }
            return Ok((entry.epoch, entry.seq, page?));
        }
        let (store, log) = (hub.store().clone(), self.log_id().clone());
        let asked = query.clone();
        let read = async move { store.read(&log, &asked).await.map(Arc::new) };
        let reading = (Box::pin(read) as BoxFuture<'static, _>).shared();
        let entry =
            Entry { epoch, seq, begun: Instant::now(), reading: reading.clone(), held_page: None };
        if self.reads.share(query.clone(), entry) {
            tokio::spawn(tend(Arc::downgrade(self)));
        }
        let at_once = reading.clone().now_or_never();
        // What needs no waiting needs no sharing, and what failed is tried again.
        let shared = at_once.is_none();
        let page = match at_once {
            Some(page) => page,
            None => reading.clone().await,
        };
        let memory = hub.memory();
        let kept = shared
            && page.as_ref().is_ok_and(|page| self.reads.hold(&query, &reading, page, memory));
        if !kept {
            self.reads.remove(&query, &reading);
        }
        Ok((epoch, seq, page?))
    }
}

async fn tend(live: Weak<Live>) {
    loop {
        tokio::time::sleep(SHARED_FOR).await;
        if !live.upgrade().is_some_and(|live| live.reads.clear()) {
            break;
        }
    }
}
