//! `server` and `agent`: files on one side, a transport on the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use secgroup_rpc::sync::{Agent, AgentConfig, Server};
use secgroup_rpc::{Info, Uuid};
use tokio::sync::watch;

use crate::agent::{self, Event};
use crate::state::{self, Watched};
use crate::transport::{AgentName, Transport};
use crate::{output, server};

/// How often files are looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// Serves what a file says, and follows it. Ends only with an error.
///
/// # Errors
/// If the file cannot be read at the start, or the transport cannot serve. A file that becomes
/// unreadable later is reported, and the state stays.
pub async fn serve(transport: &impl Transport, path: &Path) -> Result<()> {
    let mut file = Watched::new(path);
    // A random epoch tells this server's streams from those of others and of its own past.
    let mut model = Server::new(fastrand::u32(..));
    model.replace(state::read(path)?);
    eprintln!("sg-bus server: {}", summary(&model.info()));
    let (handle, task) = server::start(model, transport.serve().await?);
    while !task.is_finished() {
        tokio::time::sleep(GLANCE).await;
        if !file.changed() {
            continue;
        }
        match state::read(file.path()) {
            Ok(info) => {
                eprintln!("sg-bus server: {}", summary(&info));
                handle.with(|server| server.replace(info)).await?;
            }
            Err(error) => eprintln!("sg-bus server: {error:#}; the state stays"),
        }
    }
    Ok(task.await?)
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
    /// How often to make sure that nothing was missed.
    pub keepalive: Duration,
    /// JSON instead of text.
    pub json: bool,
    /// Leave when in step.
    pub once: bool,
}

/// Follows a server, prints what changes and writes the filter.
///
/// # Errors
/// If the devices cannot be read at the start, or the filter cannot be written.
pub async fn follow(transport: &impl Transport, options: &AgentOptions) -> Result<()> {
    let file = Watched::new(&options.devices);
    let (devices, theirs) = watch::channel(state::read_devices(&options.devices)?);
    let config = AgentConfig { keepalive: options.keepalive, ..AgentConfig::default() };
    let ids = devices.borrow().clone();
    // What was applied before a restart is still installed: start from there, not from nothing.
    let agent = match options.filter.as_deref().filter(|path| path.exists()).map(state::read) {
        Some(Ok(info)) => Agent::restore(config, ids, info),
        Some(Err(error)) => {
            eprintln!("sg-bus agent: {error:#}; starting from nothing");
            Agent::new(config, ids)
        }
        None => Agent::new(config, ids),
    };
    let end = transport.join(&options.name).await?;
    let mut in_step = false;
    let report = |agent: &Agent, event: Event| {
        if let (Event::Applied(_), Some(path)) = (&event, &options.filter) {
            state::write(path, &agent.info())?;
        }
        println!("{}", if options.json { output::line(agent, &event) } else { output::text(agent, &event) });
        in_step = agent.is_synced();
        if options.once && in_step { Err(Done.into()) } else { Ok(()) }
    };
    let ended = tokio::select! {
        ended = agent::run(agent, end, theirs, report) => ended,
        never = follow_devices(file, &devices) => never,
    };
    match ended {
        Err(error) if error.is::<Done>() => Ok(()),
        ended => ended,
    }
}

/// Why an agent stops that was told to leave when in step.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("in step")]
struct Done;

async fn follow_devices(mut file: Watched, devices: &watch::Sender<Vec<Uuid>>) -> Result<()> {
    loop {
        tokio::time::sleep(GLANCE).await;
        if file.changed() {
            match state::read_devices(file.path()) {
                Ok(ids) => _ = devices.send_replace(ids),
                Err(error) => eprintln!("sg-bus agent: {error:#}; the devices stay"),
            }
        }
    }
}
