//! A server as a process: on which cores, at which address, with how much CPU time and memory.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::thread::{CpuSet, sched_setaffinity};

/// On which cores the server runs, and the load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cores {
    /// The server on the first, the load on the second.
    Apart,
    /// Both on all.
    All,
}

/// A process that is ended when this is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The second address that it printed.
    pub(crate) operations: Option<SocketAddr>,
    /// Its log, emptied now and then.
    log: Option<File>,
}

/// What a process has in memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) anonymous: u64,
    pub(crate) mappings: u64,
}

/// Puts this thread, and what it starts from then on, on some cores.
fn only(cores: impl IntoIterator<Item = usize>) {
    let mut set = CpuSet::new();
    cores.into_iter().for_each(|core| set.set(core));
    if let Err(error) = sched_setaffinity(None, &set) {
        eprintln!("the cores cannot be chosen: {error}");
    }
}

/// This thread is the load.
pub(crate) fn load_on(cores: Cores) {
    match cores {
        Cores::Apart => only([1]),
        Cores::All => only(0..CpuSet::MAX_CPU),
    }
}

/// Starts `command` where servers run.
pub(crate) fn spawn_on(cores: Cores, command: &mut Command) -> io::Result<Child> {
    if cores == Cores::Apart {
        only([0]);
    }
    let child = command.spawn();
    load_on(cores);
    child
}

impl Process {
    /// Starts `command` on `cores`, and reads as many addresses as it prints. `log` takes its stderr.
    pub(crate) fn start(
        mut command: Command,
        cores: Cores,
        addresses: usize,
        log: Option<&Path>,
    ) -> io::Result<Self> {
        let log = log.map(File::create).transpose()?;
        let on_stderr = addresses == 0;
        command.stdin(Stdio::null());
        command.stdout(match on_stderr {
            true => Stdio::null(),
            false => Stdio::piped(),
        });
        command.stderr(match (&log, on_stderr) {
            (_, true) => Stdio::piped(),
            (Some(log), _) => log.try_clone()?.into(),
            (None, _) => Stdio::inherit(),
        });
        let mut child = spawn_on(cores, &mut command)?;
        let found = match on_stderr {
            true => addresses_in(child.stderr.take(), 1),
            false => addresses_in(child.stdout.take(), addresses),
        };
        let [address, operations] = match found {
            Ok(found) => found,
            Err(error) => {
                let _ = child.kill();
                return Err(error);
            }
        };
        let address = address.ok_or_else(|| {
            let _ = child.kill();
            io::Error::other(format!("{command:?} prints no address"))
        })?;
        Ok(Self {
            child,
            address,
            operations,
            log,
        })
    }

    /// CPU time so far, of all its threads (proc(5): the 14th and 15th field).
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = fields.split_whitespace().skip(11);
        let mut ticks = || -> u64 { fields.next().and_then(|n| n.parse().ok()).unwrap_or(0) };
        let ticks = ticks() + ticks();
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    pub(crate) fn memory(&self) -> Memory {
        let rollup = self.proc("smaps_rollup");
        let of = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
        };
        Memory {
            resident: of("Rss:"),
            anonymous: of("Anonymous:"),
            mappings: self.proc("maps").lines().count() as u64,
        }
    }

    /// Empties its log: some hundred bytes a request fill a disk.
    pub(crate) fn forget(&self) {
        if let Some(log) = &self.log {
            let _ = log.set_len(0);
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn proc(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first addresses that are printed; what follows is read and dropped.
fn addresses_in(
    from: Option<impl io::Read + Send + 'static>,
    many: usize,
) -> io::Result<[Option<SocketAddr>; 2]> {
    let from = from.ok_or_else(|| io::Error::other("nothing is piped"))?;
    let mut lines = BufReader::new(from).lines();
    let mut found = [None; 2];
    for place in found.iter_mut().take(many) {
        *place = loop {
            let Some(line) = lines.next().transpose()? else {
                return Ok(found);
            };
            let address = line.split_once("http://").map(|(_, rest)| rest);
            let address = address.map(|rest| rest.trim_end_matches('/'));
            if let Some(Ok(address)) = address.map(str::parse) {
                break Some(address);
            }
        };
    }
    std::thread::spawn(move || lines.for_each(drop));
    Ok(found)
}
