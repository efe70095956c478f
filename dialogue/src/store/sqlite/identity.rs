//! Which files a database has.

use std::{
    ffi::OsString,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The files of an open database. `SQLite` goes on with files that were deleted or replaced, and what it writes
/// there is lost.
///
/// Nothing here opens the file: closing it would end `SQLite`'s locks on it.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    pub(super) database: Id,
    log_path: PathBuf,
    /// None where the file system has no write-ahead logs.
    log: Option<Id>,
}

/// Tells a file from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    number: u64,
    /// Where the file system knows it. The number of a deleted file is used again.
    created: Option<SystemTime>,
}

/// A file at some moment: what is being copied there has another one soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) id: Id,
    length: u64,
    modified: Option<SystemTime>,
}

impl Files {
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        // SQLite's log is beside the file that a link leads to.
        let mut log_path: OsString = path.canonicalize()?.into();
        log_path.push("-wal");
        let log_path = PathBuf::from(log_path);
        let log = Id::at(&log_path).ok();
        Ok(Self { path: path.into(), database: Id::at(path)?, log_path, log })
    }

    /// Whether they are where they were.
    pub(super) fn are_there(&self) -> bool {
        Id::at(&self.path).is_ok_and(|database| database == self.database)
            && Id::at(&self.log_path).ok() == self.log
    }

    /// Whether the log is where it was, and has something in it.
    pub(super) fn have_left_a_log(&self) -> bool {
        fs::metadata(&self.log_path)
            .is_ok_and(|found| Some(Id::of(&found)) == self.log && found.len() > 0)
    }
}

impl Id {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&fs::metadata(path)?))
    }

    #[cfg(unix)]
    fn of(found: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: found.dev(), number: found.ino(), created: found.created().ok() }
    }

    #[cfg(not(unix))]
    fn of(found: &Metadata) -> Self {
        Self { created: found.created().ok() }
    }
}

impl Sight {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        let (length, modified) = (found.len(), found.modified().ok());
        Ok(Self { id: Id::of(&found), length, modified })
    }
}
