//! A disk of a test's own.
#![allow(dead_code, reason = "not every test needs everything")]

use std::{io::Write, path::Path, process::Command};

use tempfile::TempDir;

use crate::skipped::skipped;

pub struct Disk(TempDir);

impl Disk {
    /// Mounts one in memory; `None`, said loudly, where the test may not.
    pub fn mount(bytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            skipped("only root may mount a disk");
        }
        mounted.then_some(Self(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves no space; removing the file makes some again.
    pub fn fill(&self) -> std::path::PathBuf {
        let filler = self.path().join("filler");
        // As much as there is space for.
        let mut file = std::fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4_096]).is_ok() {}
        filler
    }
}

impl Disk {
    /// Lets nobody write any more.
    pub fn protect(&self) {
        self.remount("ro");
    }

    /// Lets everybody write again.
    pub fn unprotect(&self) {
        self.remount("rw");
    }

    /// Puts the same disk over itself, where it cannot be written. Unlike [`Disk::protect`], that is possible while
    /// files are open.
    pub fn cover(&self) {
        mount(&["--bind"], &[self.path(), self.path()]);
        mount(&["-o", "remount,bind,ro"], &[self.path()]);
    }

    /// Undoes that.
    pub fn uncover(&self) {
        assert!(Command::new("umount").arg("--lazy").arg(self.path()).status().unwrap().success());
    }

    fn remount(&self, access: &str) {
        mount(&["-o", &format!("remount,{access}")], &[self.path()]);
    }
}

fn mount(options: &[&str], paths: &[&Path]) {
    assert!(Command::new("mount").args(options).args(paths).status().unwrap().success());
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also what covers it, where a test failed.
        let mut umount = Command::new("umount");
        umount.arg("--lazy").arg(self.path());
        while umount.output().is_ok_and(|output| output.status.success()) {}
    }
}
