//! Load: many kept connections from one thread, over sockets and epoll alone, so that it costs less than what it
//! measures. Owns how answers are read and how latencies are counted; must not know who answers.
//!
//! *Closed*: each connection sends its next request when it has its answer, and the throughput is what the server can
//! do. *Paced*: requests are due at a fixed rate, whether or not answers come, and a latency counts from when its
//! request was due: who waits for a connection waits all the same (coordinated omission).

use std::{
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::answer::{Reader, Said};

/// Requests that may fail before a run is given up.
const FAILURES: u64 = 200;
/// The longest latency that is told apart from others, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// The next one when an answer is whole.
    Closed,
    /// So many in a second.
    Rate(u32),
}

/// What is sent, where, and for how long.
pub(crate) struct Plan<'a> {
    pub(crate) address: SocketAddr,
    /// Whole requests, sent in turn.
    pub(crate) requests: &'a [Vec<u8>],
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    /// Whether the load keeps its core busy while it waits. One that sleeps is woken by the server, which costs *that* some
    /// microseconds for each answer on a virtual machine, and the more the slower the server is.
    pub(crate) spins: bool,
    /// Not counted, before `time`.
    pub(crate) warm: Duration,
    pub(crate) time: Duration,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) answers: u64,
    pub(crate) took: Duration,
    /// CPU time of the server.
    pub(crate) used: Duration,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Outcome {
    /// Answers in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }

    /// CPU time of the server for each answer, in microseconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.used.as_secs_f64() * 1e6 / self.answers.max(1) as f64
    }

    /// A latency in microseconds.
    pub(crate) fn at(&self, percentile: f64) -> f64 {
        self.latency.value_at_percentile(percentile) as f64 / 1e3
    }
}

struct Connection {
    stream: TcpStream,
    /// Which request is sent, and how much of it is.
    request: usize,
    sent: usize,
    /// From when its latency counts; `None` while it has nothing to do.
    since: Option<Instant>,
    reader: Reader,
}

/// A run under way.
struct Run<'a> {
    plan: &'a Plan<'a>,
    poll: Poll,
    connections: Vec<Connection>,
    free: Vec<usize>,
    next: usize,
    answers: u64,
    failed: u64,
    latency: Histogram<u64>,
    buffer: Vec<u8>,
}

/// Carries `plan` out; `clock` reads the server's CPU time.
pub(crate) fn run(plan: &Plan<'_>, clock: impl Fn() -> Duration) -> io::Result<Outcome> {
    let mut run = Run::begin(plan)?;
    let begun = Instant::now();
    let mut due = 0_u64;
    if let Pace::Closed = plan.pace {
        for index in 0..plan.connections {
            run.start(index, Instant::now())?;
        }
    }
    let mut events = Events::with_capacity(1_024);
    // When the warm-up was over, and what the server had used then.
    let mut counted: Option<(Instant, Duration)> = None;
    loop {
        let now = Instant::now();
        match counted {
            None if now - begun >= plan.warm => {
                run.answers = 0;
                run.latency.reset();
                counted = Some((now, clock()));
            }
            Some((from, used)) if now - from >= plan.time => {
                return Ok(Outcome {
                    answers: run.answers,
                    took: now - from,
                    used: clock().saturating_sub(used),
                    latency: run.latency,
                });
            }
            _ => {}
        }
        let mut wait = match plan.spins {
            true => Duration::ZERO,
            false => Duration::from_millis(20),
        };
        if let Pace::Rate(rate) = plan.pace {
            // epoll waits for whole milliseconds: too long for what is due in some microseconds.
            wait = Duration::ZERO;
            loop {
                let at = begun + Duration::from_secs_f64(due as f64 / f64::from(rate));
                if at > now {
                    break;
                }
                let Some(index) = run.free.pop() else { break };
                run.start(index, at)?;
                due += 1;
            }
        }
        match run.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            run.happened(event.token().0)?;
        }
    }
}

impl<'a> Run<'a> {
    fn begin(plan: &'a Plan<'a>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for index in 0..plan.connections {
            connections.push(Connection::open(plan.address, &poll, index)?);
        }
        Ok(Self {
            plan,
            poll,
            connections,
            free: (0..plan.connections).rev().collect(),
            next: 0,
            answers: 0,
            failed: 0,
            latency: Histogram::new_with_max(LONGEST, 3).expect("three digits of a minute"),
            buffer: vec![0; 256 << 10],
        })
    }

    /// Sends the next request over a connection.
    fn start(&mut self, index: usize, since: Instant) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.request = self.next;
        self.next = (self.next + 1) % self.plan.requests.len();
        connection.sent = 0;
        connection.since = Some(since);
        connection.send(&self.plan.requests[connection.request])
    }

    fn happened(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        if connection.since.is_none() {
            return Ok(());
        }
        connection.send(&self.plan.requests[connection.request])?;
        match connection.read(&mut self.buffer)? {
            Said::More => Ok(()),
            Said::Whole(200) => {
                let now = Instant::now();
                let since = self.connections[index].since.take().unwrap_or(now);
                let _ = self.latency.record((now - since).as_nanos() as u64);
                self.answers += 1;
                self.go_on(index, now)
            }
            said => {
                self.failed += 1;
                if self.failed == 1 {
                    eprintln!("an answer that is none: {said:?}");
                }
                if self.failed > FAILURES {
                    return Err(io::Error::other(format!("too many answers like {said:?}")));
                }
                if let Said::Gone = said {
                    let address = self.plan.address;
                    self.connections[index] = Connection::open(address, &self.poll, index)?;
                }
                self.go_on(index, Instant::now())
            }
        }
    }

    fn go_on(&mut self, index: usize, now: Instant) -> io::Result<()> {
        match self.plan.pace {
            Pace::Closed => self.start(index, now),
            Pace::Rate(_) => {
                self.connections[index].since = None;
                self.free.push(index);
                Ok(())
            }
        }
    }
}

impl Connection {
    fn open(address: SocketAddr, poll: &Poll, index: usize) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(index), both)?;
        Ok(Self {
            stream,
            request: 0,
            sent: 0,
            since: None,
            reader: Reader::default(),
        })
    }

    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        while self.sent < request.len() {
            match self.stream.write(&request[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // What was answered meanwhile is still read.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Reads what there is.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Said> {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => return Ok(Said::Gone),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Said::More),
                Err(_) => return Ok(Said::Gone),
            };
            let said = self.reader.take(&buffer[..read]);
            // A buffer that was not filled took all there was; the next event tells of more.
            if read < buffer.len() || !matches!(said, Said::More) {
                return Ok(said);
            }
        }
    }
}
