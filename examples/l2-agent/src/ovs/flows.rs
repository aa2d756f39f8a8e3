//! Flows, through `ovs-ofctl`: it speaks bundles, and its text is what a person reads too.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::flow::Flow;

/// The OpenFlow socket of one bridge.
#[derive(Debug)]
pub(super) struct FlowSocket(PathBuf);

/// Which socket stands at a path: a daemon that starts makes a new one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Generation {
    inode: u64,
    changed: (i64, i64),
}

impl FlowSocket {
    pub(super) fn new(run_dir: &Path, bridge: &str) -> Self {
        Self(run_dir.join(format!("{bridge}.mgmt")))
    }

    /// The socket that stands there now, if one does.
    pub(super) fn generation(&self) -> Option<Generation> {
        let meta = self.0.metadata().ok()?;
        Some(Generation { inode: meta.ino(), changed: (meta.ctime(), meta.ctime_nsec()) })
    }

    /// All flows but those that the switch learned: they have a timeout and come and go alone.
    pub(super) fn dump(&self) -> anyhow::Result<BTreeSet<Flow>> {
        let output = self.run(&["--no-stats", "dump-flows"], &[], "")?;
        let lines = output.lines().filter(|line| line.contains("actions=") && !is_learned(line));
        lines.map(|line| line.parse::<Flow>().map_err(Into::into)).collect()
    }

    /// Removes and adds in one bundle. A flow that only does something else is replaced.
    pub(super) fn change(&self, delete: &[Flow], add: &[Flow]) -> anyhow::Result<()> {
        let mut bundle = String::new();
        let place = |flow: &Flow| (flow.table, flow.priority, flow.matches.clone());
        let replaced: BTreeSet<_> = add.iter().map(place).collect();
        for flow in delete.iter().filter(|flow| !replaced.contains(&place(flow))) {
            writeln!(bundle, "delete_strict {}", flow.identity())?;
        }
        for flow in add {
            writeln!(bundle, "add {flow}")?;
        }
        self.run(&["--bundle", "add-flows"], &["-"], &bundle).map(drop)
    }

    fn run(&self, command: &[&str], arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = Command::new("ovs-ofctl")
            // For names it would first read the features of all 254 tables: more than 1 MB.
            .args(["-O", "OpenFlow14", "--timeout=10", "--no-names"])
            .args(command)
            .arg(format!("unix:{}", self.0.display()))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run ovs-ofctl; is openvswitch-common installed?")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).context("ovs-ofctl stopped reading")?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("ovs-ofctl {}: {}", command.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The match of a learned flow stands before its actions, which may themselves name a timeout.
fn is_learned(line: &str) -> bool {
    let head = line.split("actions=").next().unwrap_or_default();
    head.contains("hard_timeout=") || head.contains("idle_timeout=")
}
