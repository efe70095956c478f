//! Logs in a file.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use dialogue::store::{KeyUse, Sqlite, Store, StoreError, Synchronous, conformance};
use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, query, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::{
    disk::Disk,
    sql::{self, Kept, append, batch, event, key, keyed, position},
};

impl Kept for Sqlite {
    async fn sweep(&self) -> Result<(), StoreError> {
        Sqlite::sweep(self).await
    }
}

/// A store in a folder of its own.
async fn open() -> (Sqlite, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path().join("logs.db")).await.unwrap();
    (store, folder)
}

/// Another process.
async fn connect(folder: &TempDir) -> SqliteConnection {
    let file = SqliteConnectOptions::new().filename(folder.path().join("logs.db"));
    SqliteConnection::connect_with(&file).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_a_store() {
    let (store, folder) = open().await;
    conformance::check(&store).await;
    let normal = Sqlite::options(folder.path().join("normal.db")).synchronous(Synchronous::Normal);
    conformance::check(&normal.open().await.unwrap()).await;
}

#[tokio::test]
async fn what_is_stored_outlives_the_process() {
    let (store, folder) = open().await;
    let log = sql::fill(&store).await;
    store.close().await;
    let store = Sqlite::open(folder.path().join("logs.db")).await.unwrap();
    sql::goes_on(&store, log).await;
}

#[tokio::test]
async fn epochs_end_by_the_statement_in_the_guide() {
    let (store, folder) = open().await;
    for room in ["one", "other"] {
        append(&store, room, vec![event(room, "a", 0)]).await;
    }
    let before = sql::head(&store, "one").await;
    store.close().await;
    let statement = "update dialogue_rooms set epoch = lower(hex(randomblob(8)))";
    assert!(include_str!("../../../docs/guide.md").contains(statement));
    let mut other = connect(&folder).await;
    query(statement).execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let store = Sqlite::open(folder.path().join("logs.db")).await.unwrap();
    let after = [sql::head(&store, "one").await, sql::head(&store, "other").await];
    assert!(after[0].epoch != before.epoch && after[0].epoch != after[1].epoch);
    assert_eq!((after[0].seq, after[1].seq), (1, 1));
}

#[tokio::test]
async fn a_store_that_is_dropped_has_what_it_acknowledged() {
    let (store, folder) = open().await;
    let log = sql::fill(&store).await;
    drop(store);
    let store = Sqlite::open(folder.path().join("logs.db")).await.unwrap();
    sql::goes_on(&store, log).await;
}

/// What the folder of a database has, without the database itself.
fn beside(folder: &Path) -> Vec<(String, u64)> {
    let files = fs::read_dir(folder).unwrap().map(|file| {
        let file = file.unwrap();
        (file.file_name().into_string().unwrap(), file.metadata().unwrap().len())
    });
    files.filter(|(name, _)| name != "logs.db").collect()
}

/// Opens a copy of the file alone.
async fn copied(folder: &Path) -> (Sqlite, TempDir) {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.join("logs.db"), copy.path().join("logs.db")).unwrap();
    let store = Sqlite::open(copy.path().join("logs.db")).await.unwrap();
    (store, copy)
}

#[tokio::test]
async fn file_of_a_closed_store_that_was_read_has_everything_by_itself() {
    let (store, folder) = open().await;
    let log = sql::fill(&store).await;
    store.close().await;
    assert_eq!(beside(folder.path()), []);
    sql::goes_on(&copied(folder.path()).await.0, log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_of_a_dropped_store_has_everything_by_itself_soon_after() {
    let (store, folder) = open().await;
    let log = sql::fill(&store).await;
    drop(store);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !beside(folder.path()).is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", beside(folder.path()));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sql::goes_on(&copied(folder.path()).await.0, log).await;
}

/// Runs something on a runtime that ends with it.
fn run<T>(runtime: &mut tokio::runtime::Builder, main: impl Future<Output = T>) -> T {
    runtime.enable_all().build().unwrap().block_on(main)
}

#[test]
fn file_of_a_store_whose_runtime_ended_has_everything_by_itself() {
    use tokio::runtime::Builder;
    for runtime in [Builder::new_current_thread, Builder::new_multi_thread] {
        for keep in [true, false] {
            let (log, folder, _kept) = run(&mut runtime(), async {
                let (store, folder) = open().await;
                let log = sql::fill(&store).await;
                (log, folder, keep.then_some(store))
            });
            let left = beside(folder.path());
            assert!(
                left.iter().all(|(name, size)| name != "logs.db-wal" || *size == 0),
                "{left:?}"
            );
            run(&mut runtime(), async {
                sql::goes_on(&copied(folder.path()).await.0, log).await;
            });
        }
    }
}

#[tokio::test]
async fn copy_of_a_database_in_use_by_the_statement_in_the_guide_has_everything() {
    let (store, folder) = open().await;
    let log = sql::fill(&store).await;
    let statement = "vacuum into 'copy.db'";
    assert!(include_str!("../../../docs/guide.md").contains(statement));
    let copy = folder.path().join("copy.db");
    let statement = statement.replace("copy.db", copy.to_str().unwrap());
    let mut other = connect(&folder).await;
    query(AssertSqlSafe(statement)).execute(&mut other).await.unwrap();
    sql::goes_on(&Sqlite::open(copy).await.unwrap(), log).await;
}

#[tokio::test]
async fn closing_waits_for_appends_and_what_comes_later_fails() {
    let (store, folder) = open().await;
    let appends = (0..100).map(|n| store.append(batch("room", vec![event("room", "a", n)])));
    let (appended, ()) = tokio::join!(join_all(appends), store.close());
    assert!(appended.iter().all(Result::is_ok), "they were first");
    let late = store.append(batch("room", vec![event("room", "a", 0)])).await.unwrap_err();
    assert_eq!(late.to_string(), "the store is closed");
    store.head(&"room".into()).await.unwrap_err();
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "what is beside an open file is gone: {files:?}");
    let store = Sqlite::open(folder.path().join("logs.db")).await.unwrap();
    assert_eq!(sql::head(&store, "room").await.seq, 100);
}

#[tokio::test]
async fn a_key_is_remembered_for_two_minutes() {
    let (store, folder) = open().await;
    let first = append(&store, "room", vec![keyed(event("room", "a", 0), "k")]).await;
    let mut other = connect(&folder).await;
    let age = async |connection: &mut SqliteConnection, millis: i64| {
        let keys = query("update dialogue_keys set at = at - $1").bind(millis);
        assert_eq!(keys.execute(connection).await.unwrap().rows_affected(), 1);
    };
    age(&mut other, 110_000).await;
    let same = Some(KeyUse::Same(position(&first[0])));
    assert_eq!(store.find(&"room".into(), &key("k")).await.unwrap(), same);
    store.sweep().await.unwrap();
    let again = append(&store, "room", vec![keyed(event("room", "a", 0), "k")]).await;
    assert_eq!(position(&again[0]), position(&first[0]));

    age(&mut other, 10_000).await;
    assert_eq!(store.find(&"room".into(), &key("k")).await.unwrap(), None);
    let anew = append(&store, "room", vec![keyed(event("room", "a", 0), "k")]).await;
    assert_eq!(position(&anew[0]).seq, 2);
    age(&mut other, 120_000).await;
    store.sweep().await.unwrap();
    let keys = query("select 1 from dialogue_keys").fetch_all(&mut other);
    assert!(keys.await.unwrap().is_empty(), "swept keys are gone");
}

#[tokio::test]
async fn pages_are_those_of_memory() {
    sql::pages_are_those_of_memory(&open().await.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_of_each_name_are_kept_as_declared() {
    let (store, _folder) = open().await;
    sql::as_many_of_each_name_are_kept(&[store]).await;
}

#[tokio::test]
async fn events_that_are_older_than_allowed_are_let_go_of() {
    let folder = tempfile::tempdir().unwrap();
    let options = Sqlite::options(folder.path().join("logs.db"));
    let store = options.keep_for(Duration::from_hours(24)).open().await.unwrap();
    sql::old_events_are_let_go_of(&store).await;
}

#[tokio::test]
async fn a_room_that_is_too_heavy_lets_go_of_its_oldest_events() {
    let folder = tempfile::tempdir().unwrap();
    let options = Sqlite::options(folder.path().join("logs.db"));
    let options = options.synchronous(Synchronous::Normal).keep_bytes(10_000);
    sql::heavy_rooms_let_go_of_their_oldest(&options.open().await.unwrap()).await;
}

#[tokio::test]
async fn a_large_batch_is_one_batch() {
    sql::a_large_batch_is_one_batch(&open().await.0).await;
}

#[tokio::test]
async fn appends_whose_callers_go_away_are_in_nobodys_way() {
    sql::abandoned_appends_are_in_nobodys_way(&open().await.0).await;
}

#[tokio::test]
async fn zero_characters_are_refused() {
    sql::zero_characters_are_refused(&open().await.0).await;
}

#[tokio::test]
async fn an_append_waits_for_another_process_that_writes() {
    let (store, folder) = open().await;
    let mut other = connect(&folder).await;
    query("begin immediate").execute(&mut other).await.unwrap();
    let mut waiting = Box::pin(append(&store, "room", vec![event("room", "a", 0)]));
    let reading = async {
        for _ in 0..100 {
            assert!(store.head(&"room".into()).await.unwrap().is_none());
        }
    };
    tokio::select! {
        _ = &mut waiting => panic!("two write at once"),
        () = reading => {}
    }
    query("rollback").execute(&mut other).await.unwrap();
    assert_eq!(position(&waiting.await[0]).seq, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_on_one_file_agree() {
    let (one, folder) = open().await;
    let other = Sqlite::open(folder.path().join("logs.db")).await.unwrap();
    sql::two_servers_agree(&one, &other).await;
}

#[tokio::test]
async fn a_file_of_the_first_version_opens_and_keeps_its_logs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs.db");
    let file = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&file).await.unwrap();
    let tables = include_str!("../../migrations/sqlite/1_logs.sql");
    sql::first_tables(tables).run(&mut old).await.unwrap();
    for (key, room) in [(1, "declared"), (2, "created")] {
        let rows = AssertSqlSafe(sql::first_rows(room, key, ""));
        sqlx::raw_sql(rows).execute(&mut old).await.unwrap();
    }
    old.close().await.unwrap();
    sql::logs_of_the_first_version_are_the_apps(&Sqlite::open(path).await.unwrap()).await;
}

#[tokio::test]
async fn logs_of_created_rooms_end_with_their_server() {
    let (one, folder) = open().await;
    let path = folder.path().join("logs.db");
    let (other, third) = (Sqlite::open(&path).await.unwrap(), Sqlite::open(&path).await.unwrap());
    let age = async |millis: i64| {
        let mut connection = connect(&folder).await;
        let aged = query("update dialogue_servers set seen = seen - $1").bind(millis);
        aged.execute(&mut connection).await.unwrap();
    };
    sql::creations_end_with_their_server(one, &other, third, age).await;
}

#[tokio::test]
async fn many_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs.db");
    let opened = join_all((0..8).map(|_| Sqlite::open(&path))).await;
    for store in opened {
        append(&store.unwrap(), "room", vec![event("room", "a", 0)]).await;
    }
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |path: &Path| Sqlite::open(path).await.map(drop).unwrap_err().to_string();
    let nowhere = open(&folder.path().join("missing/logs.db")).await;
    assert!(nowhere.ends_with("missing` does not exist: create it first"), "{nowhere}");
    let a_folder = open(folder.path()).await;
    assert!(a_folder.contains("cannot be opened"), "{a_folder}");
    let text = folder.path().join("text.db");
    fs::write(&text, "not a database, but long enough to be one ".repeat(100)).unwrap();
    let corrupt = open(&text).await;
    assert!(corrupt.contains("text.db` cannot be opened"), "{corrupt}");
    assert!(corrupt.contains("file is not a database"), "{corrupt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_appends_until_there_is_space() {
    let Some(disk) = Disk::mount(2_000_000) else { return };
    let store = Sqlite::open(disk.path().join("logs.db")).await.unwrap();
    append(&store, "room", vec![event("room", "a", 0)]).await;
    let filler = disk.fill();
    let failed = async |room: &'static str| {
        let events = (0..200).map(|n| keyed(event(room, "a", n), &n.to_string())).collect();
        store.append(batch(room, events)).await.is_err()
    };
    let (one, other) = tokio::join!(failed("room"), failed("other"));
    assert!(one && other, "nothing is acknowledged that is not stored");
    assert_eq!(sql::head(&store, "room").await.seq, 1);
    assert!(store.head(&"other".into()).await.unwrap().is_none(), "all or none");
    assert_eq!(store.find(&"room".into(), &key("7")).await.unwrap(), None);

    fs::remove_file(filler).unwrap();
    let next = append(&store, "room", vec![keyed(event("room", "a", 1), "7")]).await;
    assert_eq!((position(&next[0]).seq, position(&next[0]).prev), (2, 1));
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_says_so() {
    let Some(disk) = Disk::mount(2_000_000) else { return };
    let path = disk.path().join("logs.db");
    Sqlite::open(&path).await.unwrap().close().await;
    disk.protect();
    let error = Sqlite::open(&path).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("logs.db` cannot be opened"), "{error}");
    assert!(error.contains("readonly") || error.contains("unable to open"), "{error}");
}

/// A database with what a crash leaves beside it, which can be read where it cannot be written.
async fn crashed(disk: &Disk) -> PathBuf {
    let path = |name: &str| disk.path().join(name);
    let store = Sqlite::open(path("logs.db")).await.unwrap();
    append(&store, "room", vec![event("room", "a", 0)]).await;
    for end in ["", "-wal", "-shm"] {
        fs::copy(path(&format!("logs.db{end}")), path(&format!("copy.db{end}"))).unwrap();
    }
    store.close().await;
    path("copy.db")
}

#[tokio::test]
async fn open_of_a_database_that_can_only_be_read_fails() {
    let Some(disk) = Disk::mount(2_000_000) else { return };
    let path = crashed(&disk).await;
    disk.protect();
    let error = Sqlite::open(&path).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("copy.db` cannot be opened"), "{error}");
    assert!(error.contains("readonly"), "{error}");
    disk.unprotect();
    let store = Sqlite::open(path).await.unwrap();
    assert_eq!(sql::head(&store, "room").await.seq, 1);
}

#[tokio::test]
async fn open_on_a_full_disk_fails() {
    let Some(disk) = Disk::mount(2_000_000) else { return };
    let path = crashed(&disk).await;
    let filler = disk.fill();
    let error = Sqlite::open(&path).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("full"), "{error}");
    fs::remove_file(filler).unwrap();
    let store = Sqlite::open(path).await.unwrap();
    assert_eq!(sql::head(&store, "room").await.seq, 1);
}

/// Waits until a store is ready, or says why it is not.
async fn settled(store: &Sqlite, expected: Result<(), &str>) {
    // A sweep finds out, too, ten seconds after the store was opened.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(8);
    loop {
        let ready = store.ready().map_err(|error| error.to_string());
        match (&ready, expected) {
            (Ok(()), Ok(())) => break,
            (Err(why), Err(expected)) if why.contains(expected) => break,
            _ => assert!(tokio::time::Instant::now() < deadline, "{ready:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn store_on_a_full_disk_is_ready_again_by_itself() {
    let Some(disk) = Disk::mount(2_000_000) else { return };
    let store = Sqlite::open(disk.path().join("logs.db")).await.unwrap();
    let filler = disk.fill();
    let refused = store.append(batch("room", vec![event("room", "a", 0)])).await;
    assert!(refused.unwrap_err().to_string().contains("full"));
    settled(&store, Err("full")).await;
    fs::remove_file(filler).unwrap();
    settled(&store, Ok(())).await;
    append(&store, "room", vec![event("room", "a", 0)]).await;
}

#[tokio::test]
async fn store_that_was_read_while_it_could_not_be_written_appends_when_it_can_be() {
    let Some(disk) = Disk::mount(2_000_000) else { return };
    let store = Sqlite::open(disk.path().join("logs.db")).await.unwrap();
    append(&store, "room", vec![event("room", "a", 0)]).await;
    let filler = disk.fill();
    store.append(batch("room", vec![event("room", "a", 1)])).await.unwrap_err();
    disk.cover();
    settled(&store, Err("readonly")).await;
    let _ = store.head(&"room".into()).await;
    disk.uncover();
    fs::remove_file(filler).unwrap();
    settled(&store, Ok(())).await;
    assert_eq!(position(&append(&store, "room", vec![event("room", "a", 1)]).await[0]).seq, 2);
}

#[cfg(unix)]
mod moved {
    use super::*;

    const MOVED: &str = "was deleted or replaced";

    #[tokio::test]
    async fn append_to_a_file_that_was_moved_fails_until_it_is_back() {
        let (store, folder) = open().await;
        let path = folder.path().join("logs.db");
        let log = sql::fill(&store).await;
        fs::rename(&path, folder.path().join("away.db")).unwrap();
        for _ in 0..3 {
            let refused = store.append(batch("room", vec![event("room", "rare", 0)])).await;
            assert!(refused.unwrap_err().to_string().contains(MOVED));
        }
        settled(&store, Err(MOVED)).await;
        store.head(&"room".into()).await.unwrap_err();
        assert!(!path.exists(), "no other file is made");
        fs::rename(folder.path().join("away.db"), &path).unwrap();
        settled(&store, Ok(())).await;
        sql::goes_on(&store, log).await;
    }

    #[tokio::test]
    async fn file_that_is_deleted_while_nothing_is_appended_is_noticed() {
        let (store, folder) = open().await;
        fs::remove_file(folder.path().join("logs.db")).unwrap();
        settled(&store, Err(MOVED)).await;
    }

    #[tokio::test]
    async fn file_that_was_replaced_is_used_in_other_epochs() {
        let (store, folder) = open().await;
        let path = |name: &str| folder.path().join(name);
        append(&store, "room", vec![event("room", "a", 0)]).await;
        let mut other = connect(&folder).await;
        let copy = AssertSqlSafe(format!("vacuum into '{}'", path("copy.db").display()));
        query(copy).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        append(&store, "room", vec![event("room", "a", 1)]).await;
        let before = sql::head(&store, "room").await;
        fs::rename(path("logs.db"), path("old.db")).unwrap();
        fs::rename(path("copy.db"), path("logs.db")).unwrap();
        let refused = store.append(batch("room", vec![event("room", "a", 2)])).await;
        assert!(refused.unwrap_err().to_string().contains(MOVED));
        settled(&store, Ok(())).await;
        let after = sql::head(&store, "room").await;
        assert_eq!((before.seq, after.seq), (2, 1));
        assert_ne!(before.epoch, after.epoch, "the second event is another one now");
        let next = append(&store, "room", vec![event("room", "a", 2)]).await;
        assert_eq!((position(&next[0]).epoch, position(&next[0]).seq), (after.epoch, 2));
        store.close().await;
        for (file, epoch) in [("logs.db", after.epoch), ("old.db", before.epoch)] {
            let store = Sqlite::open(path(file)).await.unwrap();
            let head = sql::head(&store, "room").await;
            assert_eq!((head.epoch, head.seq >= 2), (epoch, true), "{file}");
        }
    }

    #[tokio::test]
    async fn file_that_is_being_copied_into_place_is_not_opened_before_it_is_whole() {
        let (store, folder) = open().await;
        let path = folder.path().join("logs.db");
        let log = sql::fill(&store).await;
        let copy = folder.path().join("copy.db");
        let mut other = connect(&folder).await;
        let statement = AssertSqlSafe(format!("vacuum into '{}'", copy.display()));
        query(statement).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        fs::remove_file(&path).unwrap();
        let bytes = fs::read(&copy).unwrap();
        let mut file = fs::File::create(&path).unwrap();
        settled(&store, Err(MOVED)).await;
        for part in bytes.chunks(bytes.len() / 20 + 1) {
            file.write_all(part).unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            let why = store.ready().unwrap_err().to_string();
            assert!(why.contains(MOVED), "{why}");
        }
        settled(&store, Ok(())).await;
        let (head, events) = sql::everything(&store, "room").await;
        assert_ne!(head.epoch, log.0.epoch);
        assert_eq!((head.seq, sql::seqs(&events)), (log.0.seq, sql::seqs(&log.1)));
    }

    #[tokio::test]
    async fn store_whose_write_ahead_log_was_deleted_loses_nothing() {
        let (store, folder) = open().await;
        let log = sql::fill(&store).await;
        fs::remove_file(folder.path().join("logs.db-wal")).unwrap();
        while store.append(batch("other", vec![event("other", "a", 0)])).await.is_err() {}
        settled(&store, Ok(())).await;
        // What a crash would leave.
        let left = tempfile::tempdir().unwrap();
        for file in ["logs.db", "logs.db-wal"] {
            let _ = fs::copy(folder.path().join(file), left.path().join(file));
        }
        sql::goes_on(&Sqlite::open(left.path().join("logs.db")).await.unwrap(), log).await;
    }
}
