//! `server` and `agent`: files on one side, a transport on the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow};
use secgroup_rpc::sync::{Agent, AgentConfig, Server};
use secgroup_rpc::{Info, Uuid};
use tokio::sync::watch;

use crate::agent::{self, Event, Held};
use crate::state::{self, Watched};
use crate::transport::{AgentName, Transport};
use crate::{node, output, server, wiring};

/// How often files are looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// Serves what files say, and follows them. Ends only with an error.
///
/// # Errors
/// If a file cannot be read at the start, or the transport cannot serve. A file that becomes
/// unreadable later is reported, and the state stays.
pub async fn serve(transport: &impl Transport, groups: &Path, ports: Option<&Path>) -> Result<()> {
    let (mut groups, mut ports) = (Watched::new(groups), ports.map(Watched::new));
    // A random epoch tells this server's streams from those of others and of its own past.
    let mut model = Server::new(fastrand::u32(..));
    model.replace(state::read(groups.path())?);
    eprintln!("sg-bus server: {}", summary(&model.info()));
    let mut wiring = wiring::Server::silent();
    if let Some(ports) = &ports {
        wiring = wiring::Server::new(fastrand::u32(..));
        wiring.replace(read_ports(ports.path())?);
    }
    let (handle, task) = server::start_with_wiring(model, wiring, transport.serve().await?);
    while !task.is_finished() {
        tokio::time::sleep(GLANCE).await;
        if groups.changed() {
            match state::read(groups.path()) {
                Ok(info) => {
                    eprintln!("sg-bus server: {}", summary(&info));
                    handle.with(|server| server.replace(info)).await?;
                }
                Err(error) => eprintln!("sg-bus server: {error:#}; the state stays"),
            }
        }
        if let Some(ports) = &mut ports
            && ports.changed()
        {
            match read_ports(ports.path()) {
                Ok(ports) => handle.with_both(|_, wiring| wiring.replace(ports)).await?,
                Err(error) => eprintln!("sg-bus server: {error:#}; the wiring stays"),
            }
        }
    }
    Ok(task.await?)
}

fn read_ports(path: &Path) -> Result<Vec<wiring::Port>> {
    let ports = node::read_ports(path)?;
    eprintln!("sg-bus server: {} ports are wired", ports.len());
    Ok(ports)
}

fn summary(info: &Info) -> String {
    let members: usize = info.members.iter().map(secgroup_rpc::MemberSet::len).sum();
    let (devices, groups) = (info.devices.len(), info.groups.len());
    format!("{devices} devices, {groups} groups, {members} members")
}

/// What an agent is told on the command line.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Its name.
    pub name: AgentName,
    /// A file with its devices, followed.
    pub devices: PathBuf,
    /// Where the applied filter is written, and read from at the start.
    pub filter: Option<PathBuf>,
    /// Where ports, their networks and their groups are written for `l2-agent`, and read from at the start.
    pub node: Option<PathBuf>,
    /// What `l2-agent run --up` writes: the devices that are up. Followed.
    pub up: Option<PathBuf>,
    /// How often to make sure that nothing was missed.
    pub keepalive: Duration,
    /// JSON instead of text.
    pub json: bool,
    /// Leave when in step.
    pub once: bool,
}

/// Follows a server, prints what changes and writes the filter and the node's file.
///
/// # Errors
/// If the devices cannot be read at the start, or a file cannot be written.
pub async fn follow(transport: &impl Transport, options: &AgentOptions) -> Result<()> {
    let file = Watched::new(&options.devices);
    let (devices, theirs) = watch::channel(state::read_devices(&options.devices)?);
    let (up, their_up) = watch::channel(Vec::new());
    let held = Held { up: their_up, ..start_from_files(options, &devices.borrow()) };
    let end = transport.join(&options.name).await?;
    let report = |held: &Held, event: Event| {
        write_files(options, held, &event)?;
        println!("{}", if options.json { output::line(held, &event) } else { output::text(held, &event) });
        match event {
            _ if options.once && held.is_synced() => Err(Done.into()),
            Event::NoWiring if options.once => Err(anyhow!("nothing to write to the node's file")),
            _ => Ok(()),
        }
    };
    let ended = tokio::select! {
        ended = agent::run_with_wiring(held, end, theirs, report) => ended,
        never = follow_ids(file, &devices) => never,
        never = follow_up(options.up.as_deref(), &up) => never,
    };
    match ended {
        Err(error) if error.is::<Done>() => Ok(()),
        ended => ended,
    }
}

/// What was applied before a restart is still installed: start from there, not from nothing.
fn start_from_files(options: &AgentOptions, devices: &[Uuid]) -> Held {
    let keepalive = options.keepalive;
    let node = options.node.as_deref().and_then(|path| usable(path, node::read));
    let (ports, groups) = node.map_or((Vec::new(), None), |(ports, groups)| (ports, Some(groups)));
    let groups = options.filter.as_deref().and_then(|path| usable(path, state::read)).or(groups);
    let wiring = options.node.is_some().then(|| {
        let config = wiring::AgentConfig { retry: Duration::from_secs(1), keepalive };
        wiring::Agent::new(config, options.name.clone(), ports)
    });
    let config = AgentConfig { keepalive, ..AgentConfig::default() };
    let devices = devices.iter().copied();
    let groups = Agent::restore(config, devices, groups.unwrap_or_default());
    Held { wiring, ..Held::of_groups(groups) }
}

fn usable<T>(path: &Path, read: fn(&Path) -> Result<T>) -> Option<T> {
    let read = path.exists().then(|| read(path))?;
    read.inspect_err(|error| eprintln!("sg-bus agent: {error:#}; starting from nothing")).ok()
}

fn write_files(options: &AgentOptions, held: &Held, event: &Event) -> Result<()> {
    let (applied, wired) = (matches!(event, Event::Applied(_)), matches!(event, Event::Wired(_)));
    if let Some(path) = options.filter.as_ref().filter(|_| applied) {
        state::write(path, &held.groups.info())?;
    }
    let wiring = held.wiring.as_ref().filter(|_| (applied || wired) && held.is_synced());
    if let (Some(path), Some(wiring)) = (&options.node, wiring) {
        for left_out in node::write(path, wiring.ports(), held.groups.info())? {
            eprintln!("sg-bus agent: {left_out}; it is not written");
        }
    }
    Ok(())
}

/// Why an agent stops that was told to leave when in step.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("in step")]
struct Done;

/// A file that is not there yet says nothing.
async fn follow_up(path: Option<&Path>, up: &watch::Sender<Vec<Uuid>>) -> Result<()> {
    let Some(path) = path else { return std::future::pending().await };
    let file = Watched::new(path);
    if let Some(ids) = usable(path, state::read_devices) {
        up.send_replace(ids);
    }
    follow_ids(file, up).await
}

async fn follow_ids(mut file: Watched, ids: &watch::Sender<Vec<Uuid>>) -> Result<()> {
    loop {
        tokio::time::sleep(GLANCE).await;
        if file.changed() {
            match state::read_devices(file.path()) {
                Ok(new) => _ = ids.send_replace(new),
                Err(error) => eprintln!("sg-bus agent: {error:#}; the last good list stays"),
            }
        }
    }
}
