//! A disk of a test's own.

use std::{io::Write, path::Path, process::Command};

use tempfile::TempDir;

pub struct Disk(TempDir);

impl Disk {
    /// Mounts one in memory; `None`, said loudly, where the test may not.
    pub fn mount(bytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            let test = std::thread::current();
            let name = test.name().unwrap_or("a test");
            // Past the harness, which keeps to itself what a test that passes prints.
            let _ = writeln!(std::io::stderr(), "SKIPPED {name}: only root may mount a disk");
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

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
