//! The data path: interfaces in, interfaces out, one thread, bounded memory.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime};

use afpacket::{TAG_ROOM, wait};
use anyhow::{Context, Result};
use mac_nat::{MacNat, Side};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use crate::config::Settings;
use crate::gateway::Gateway;
use crate::neutron::Neutron;
use crate::state::State;
use crate::status::Status;
use crate::wire::Wire;

/// Frames taken from one interface before the others get their turn.
const BURST: usize = 64;
const BUFFER: usize = 65_536 + TAG_ROOM;

/// Translates until SIGINT or SIGTERM; gives the final state. SIGUSR1 prints it on standard error.
///
/// # Errors
/// An interface that cannot be opened or fails, a status socket that cannot be made.
pub fn run(settings: &Settings, quiet: bool) -> Result<Status> {
    let mut wires = Wires::open(settings)?;
    let mut engine = settings.engine.clone();
    // Nobody outside can know it, so nobody can choose addresses that collide in the tables.
    engine.seed = RandomState::new().hash_one(std::process::id());
    let mut gateway = Gateway::new(engine)?;
    let signals = Signals::install()?;
    let socket = StatusSocket::bind(settings)?;
    let complain = |error| eprintln!("neutron: {error:#}");
    let neutron = Neutron::new(settings).map(|neutron| neutron.watch(complain)).transpose()?;
    let start = Instant::now();
    let mut memory = Memory::open(settings, &mut gateway);
    let mut buffer = vec![0; BUFFER];
    let mut uplink_lost = false;
    gateway.change(|nat| nat.reannounce());
    gateway.own_frames(&mut |side, frame| wires.send(side, frame));
    while !signals.stop.load(Ordering::Relaxed) {
        let now = start.elapsed();
        let due = gateway.next_timeout().map(|at| at.saturating_sub(now));
        let due = due.unwrap_or(MAX_WAIT).min(MAX_WAIT);
        wait(&wires.sources(socket.as_ref()), Some(due))?;
        for at in 0..wires.interfaces.len() {
            for _ in 0..BURST {
                match wires.recv(at, &mut buffer)? {
                    Received::Frame(side, frame) => {
                        // The uplink is back: the provider has to be told where our addresses are.
                        if side == Side::Uplink && std::mem::take(&mut uplink_lost) {
                            gateway.change(MacNat::reannounce);
                        }
                        let frame = buffer.get_mut(frame).unwrap_or_default();
                        gateway
                            .frame(start.elapsed(), side, frame, &mut |side, frame| wires.send(side, frame));
                    }
                    // What a machine taught may be somebody else's when its interface comes back.
                    Received::Down(Side::Inside(port)) => {
                        gateway.change(|nat| nat.flush_port(start.elapsed(), port));
                    }
                    Received::Down(side) => uplink_lost |= side == Side::Uplink,
                    Received::Nothing => break,
                }
            }
        }
        let now = start.elapsed();
        if gateway.next_timeout().is_some_and(|at| at <= now) {
            gateway.timeout(now, &mut |side, frame| wires.send(side, frame));
        }
        for bindings in neutron.iter().flat_map(Receiver::try_iter) {
            if let Err(error) = gateway.change(|nat| nat.set_bindings(now, &bindings)) {
                complain(error.into());
            }
            gateway.own_frames(&mut |side, frame| wires.send(side, frame));
        }
        while let Some(event) = gateway.event() {
            if !quiet {
                eprintln!("{:.3} {event}", now.as_secs_f64());
            }
        }
        if signals.report.swap(false, Ordering::Relaxed) {
            eprint!("{}", wires.status(&gateway, now));
        }
        memory.save_sometimes(&gateway, now);
        if let Some(socket) = &socket {
            socket.answer(|| wires.status(&gateway, now));
        }
    }
    memory.save(&gateway, start.elapsed());
    Ok(wires.status(&gateway, start.elapsed()))
}

/// A signal may come just before the wait: the loop looks again after this time at the latest.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// What an interface had for us.
enum Received {
    Frame(Side, Range<usize>),
    /// It went down; told once.
    Down(Side),
    Nothing,
}

/// The interfaces by side.
struct Wires {
    interfaces: Vec<(Side, Wire)>,
    /// Frames that an interface did not take.
    unsent: u64,
}

impl Wires {
    fn open(settings: &Settings) -> Result<Self> {
        let mut names = vec![(Side::Uplink, settings.uplink.as_str())];
        names.extend(settings.host.as_deref().map(|name| (Side::Host, name)));
        names.extend(settings.ports.iter().map(|port| (Side::Inside(port.id), port.interface.as_str())));
        let open = |(side, name): (Side, &str)| {
            Ok((side, Wire::open(name, settings.taps.iter().any(|tap| tap == name))?))
        };
        Ok(Self { interfaces: names.into_iter().map(open).collect::<io::Result<_>>()?, unsent: 0 })
    }

    fn sources<'a>(&'a self, socket: Option<&'a StatusSocket>) -> Vec<BorrowedFd<'a>> {
        let interfaces = self.interfaces.iter().map(|(_, interface)| interface.as_fd());
        interfaces.chain(socket.map(|socket| socket.listener.as_fd())).collect()
    }

    fn recv(&self, at: usize, buffer: &mut [u8]) -> Result<Received> {
        let Some((side, interface)) = self.interfaces.get(at) else { return Ok(Received::Nothing) };
        match interface.recv(buffer) {
            Ok(Some(frame)) => Ok(Received::Frame(*side, frame)),
            Ok(None) => Ok(Received::Nothing),
            // A machine that is switched off takes its interface down; it may come back.
            Err(error) if error.kind() == io::ErrorKind::NetworkDown => Ok(Received::Down(*side)),
            Err(error) => Err(error).with_context(|| format!("interface {}", interface.name())),
        }
    }

    fn send(&mut self, side: Side, frame: &[u8]) {
        // A host without an interface of its own lives on the uplink and has its copy already.
        if let Some((_, interface)) = self.interfaces.iter().find(|(known, _)| *known == side)
            && interface.send(frame).is_err()
        {
            self.unsent += 1;
        }
    }

    fn status(&self, gateway: &Gateway, now: Duration) -> Status {
        let mut status = Status::of(gateway, now);
        status.counters.insert("unsent".into(), self.unsent);
        status
    }
}

/// Learned bindings in a file. That it fails stops no frame.
struct Memory {
    path: Option<PathBuf>,
    due: Duration,
}

impl Memory {
    const INTERVAL: Duration = Duration::from_secs(30);

    fn open(settings: &Settings, gateway: &mut Gateway) -> Self {
        let path = settings.state_file.clone();
        if let Some(path) = &path {
            match State::read(path) {
                Ok(state) => {
                    let bindings = state.bindings(SystemTime::now());
                    let restored = gateway.change(|nat| nat.restore(Duration::ZERO, bindings));
                    let (accepted, refused) = (restored.accepted, restored.refused);
                    eprintln!("{}: {accepted} bindings restored, {refused} refused", path.display());
                }
                Err(error) => eprintln!("{}: {error}; nothing restored", path.display()),
            }
        }
        Self { path, due: Self::INTERVAL }
    }

    /// In case that we do not end in order.
    fn save_sometimes(&mut self, gateway: &Gateway, now: Duration) {
        if now >= self.due {
            self.due = now + Self::INTERVAL;
            self.save(gateway, now);
        }
    }

    fn save(&self, gateway: &Gateway, now: Duration) {
        let Some(path) = &self.path else { return };
        let state = State::new(SystemTime::now(), gateway.nat().bindings(now));
        if let Err(error) = state.write(path) {
            eprintln!("{}: {error}", path.display());
        }
    }
}

struct Signals {
    stop: Arc<AtomicBool>,
    report: Arc<AtomicBool>,
}

impl Signals {
    fn install() -> Result<Self> {
        let signals = Self { stop: Arc::default(), report: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&signals.stop))?;
        }
        signal_hook::flag::register(SIGUSR1, Arc::clone(&signals.report))?;
        Ok(signals)
    }
}

/// Gives the state as JSON to everybody who connects.
struct StatusSocket {
    listener: UnixListener,
    path: std::path::PathBuf,
}

impl StatusSocket {
    fn bind(settings: &Settings) -> Result<Option<Self>> {
        let Some(path) = settings.status_socket.clone() else { return Ok(None) };
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            anyhow::bail!("{}: another mac-nat-gw answers there", path.display());
        }
        // Left over from one that was killed.
        let _ = std::fs::remove_file(&path);
        let listener =
            UnixListener::bind(&path).with_context(|| format!("status socket {}", path.display()))?;
        listener.set_nonblocking(true)?;
        Ok(Some(Self { listener, path }))
    }

    fn answer(&self, status: impl FnOnce() -> Status) {
        if let Ok((mut stream, _)) = self.listener.accept() {
            // Who does not read in time does not stop the frames.
            let _ = stream.set_write_timeout(Some(Duration::from_millis(100)));
            if let Ok(json) = serde_json::to_vec(&status()) {
                let _ = stream.write_all(&json);
            }
        }
    }
}

impl Drop for StatusSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
