//! A `PostgreSQL` server in a folder of its own, which nobody else knows of. Of the standard library alone:
//! `cargo xtask test` starts one too.
#![allow(dead_code, reason = "each program uses a part of it")]

use std::{
    env,
    fs::{self, File},
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where the server's programs are.
pub(crate) fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&path).collect();
    // Debian has them in a folder of each version, and none of them in the path.
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders.into_iter().find(|folder| {
        ["initdb", "postgres", "pg_isready"].iter().all(|name| folder.join(name).is_file())
    })
}

/// Where `PgBouncer`'s program is.
pub(crate) fn find_pooler() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian has it where only root looks.
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file())
}

/// A `PgBouncer` in front of a server. It ends with this.
pub(crate) struct Pooler {
    port: u16,
    process: Child,
}

/// A server, which ends with this, and its folder too.
pub(crate) struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Server {
    /// Starts one with these programs.
    pub(crate) fn start(programs: &Path) -> io::Result<Self> {
        let mut server = Self::place(programs)?;
        let data = server.folder.join("data");
        let options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"];
        done(server.program("initdb").args(options).args(["--no-sync", "--pgdata"]).arg(data))?;
        server.boot()?;
        Ok(server)
    }

    /// A folder and a port for one.
    fn place(programs: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dialogue-postgres-{}-{count}", process::id());
        let folder = env::temp_dir().join(name);
        let server = Self { programs: programs.into(), folder, port: free_port()?, process: None };
        fs::create_dir(&server.folder)?;
        if let Some((user, _)) = another_user() {
            done(Command::new("chown").arg(user).arg(&server.folder))?;
        }
        Ok(server)
    }

    /// How to connect to it.
    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// Starts a replica, which streams what this server writes.
    pub(crate) fn replicate(&self) -> io::Result<Self> {
        let mut replica = Self::place(&self.programs)?;
        let data = replica.folder.join("data");
        let mut copy = self.program("pg_basebackup");
        copy.current_dir(&replica.folder).args(["--write-recovery-conf", "--no-sync"]);
        copy.args(["--checkpoint=fast", "--wal-method=stream", "--dbname", &self.url()]);
        done(copy.arg("--pgdata").arg(data))?;
        replica.boot()?;
        Ok(replica)
    }

    /// Has a replica receive nothing more.
    pub(crate) fn detach(&self) -> io::Result<()> {
        self.ask("alter system set primary_conninfo = ''")?;
        self.ask("select pg_reload_conf()")?;
        while self.ask("select count(*) from pg_stat_wal_receiver")?.trim() != "0" {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Promotes a replica, which answers from then on where a crashed server did.
    pub(crate) fn replace(mut self, crashed: &Self) -> io::Result<Self> {
        self.ask("select pg_promote()")?;
        self.end("-INT")?;
        self.port = crashed.port;
        self.boot()?;
        Ok(self)
    }

    /// Ends the server as if its machine had lost power.
    pub(crate) fn crash(&mut self) -> io::Result<()> {
        self.end("-QUIT")
    }

    /// Starts the server again, on the same port.
    pub(crate) fn boot(&mut self) -> io::Result<()> {
        let log = File::create(self.folder.join("log"))?;
        let mut postgres = self.program("postgres");
        postgres.arg("-D").arg(self.folder.join("data"));
        postgres.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        postgres.args(["-c", "unix_socket_directories=", "-c", "max_connections=300"]);
        postgres.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = self.process.insert(postgres.spawn()?);
        let started = Instant::now();
        let mut ready = Command::new(self.programs.join("pg_isready"));
        ready.args(["--quiet", "--host=127.0.0.1", &format!("--port={}", self.port)]);
        while !ready.status()?.success() {
            if process.try_wait()?.is_some() || started.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.join("log"))?;
                return Err(io::Error::other(format!("PostgreSQL did not start:\n{log}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Starts a pooler in front of this server: it lends a session for as long as its `pool_mode` says.
    pub(crate) fn pool(&self, pooler: &Path, mode: &str) -> io::Result<Pooler> {
        let port = free_port()?;
        let settings = self.folder.join(format!("pgbouncer-{mode}.ini"));
        let lines = [
            "[databases]",
            &format!("* = host=127.0.0.1 port={} user=postgres", self.port),
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            &format!("listen_port = {port}"),
            "unix_socket_dir =",
            "auth_type = any",
            &format!("pool_mode = {mode}"),
            "ignore_startup_parameters = extra_float_digits",
        ];
        fs::write(&settings, lines.join("\n"))?;
        let log = File::create(self.folder.join("pgbouncer.log"))?;
        let mut pgbouncer = self.program(&pooler.to_string_lossy());
        pgbouncer.arg(&settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut pooler = Pooler { port, process: pgbouncer.spawn()? };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if pooler.process.try_wait()?.is_some() || started.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.join("pgbouncer.log"))?;
                return Err(io::Error::other(format!("PgBouncer did not start:\n{log}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(pooler)
    }

    fn ask(&self, statement: &str) -> io::Result<String> {
        let mut psql = self.program("psql");
        psql.args([
            "--no-psqlrc",
            "--tuples-only",
            "--dbname",
            &self.url(),
            "--command",
            statement,
        ]);
        let output = psql.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("`{statement}` failed: {said}")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn end(&mut self, signal: &str) -> io::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        done(Command::new("kill").args([signal, &process.id().to_string()]))?;
        process.wait().map(drop)
    }

    /// A program, by a user that it accepts. On Linux, it ends with the thread that runs it, however that
    /// ends.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if cfg!(target_os = "linux") {
            let mut command = Command::new("setpriv");
            if let Some((user, group)) = another_user() {
                command.args(["--reuid", &user, "--regid", &group, "--clear-groups"]);
            }
            command.args(["--pdeathsig", "INT", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // Where that user may be.
        command.current_dir(&self.folder);
        command
    }
}

impl Pooler {
    /// How to connect through it.
    pub(crate) fn url(&self) -> String {
        url(self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.end("-INT");
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Who runs the server, and their group, if we are root, whom it does not accept.
fn another_user() -> Option<(String, String)> {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().ok()?;
        let id = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        output.status.success().then_some(id)
    };
    if id(&["-u"])? != "0" {
        return None;
    }
    let ids = |user| Some((id(&["-u", user])?, id(&["-g", user])?));
    ids("postgres").or_else(|| ids("nobody"))
}

fn done(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let program = command.get_program().to_string_lossy();
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("`{program}` failed: {said}")))
}
