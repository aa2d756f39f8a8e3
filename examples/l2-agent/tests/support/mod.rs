//! A private Open vSwitch: its own directory, its own database; nothing of the machine's own switch
//! is touched, and no kernel module is needed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Runs until dropped.
pub(crate) struct PrivateSwitch {
    dir: TempDir,
    database: Option<Child>,
    daemon: Option<Child>,
    options: &'static [&'static str],
}

impl PrivateSwitch {
    /// Starts one with the dummy datapath, which needs no root; `None`, with a message, if Open
    /// vSwitch is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&["--enable-dummy=override", "--disable-system"])
    }

    /// Starts one that forwards in user space between real devices (`datapath_type=netdev`). At
    /// most one such switch lives in a network namespace.
    pub(crate) fn start_userspace() -> Option<Self> {
        Self::start_with(&[])
    }

    fn start_with(options: &'static [&'static str]) -> Option<Self> {
        let schema = Path::new("/usr/share/openvswitch/vswitch.ovsschema");
        if !schema.exists() || Command::new("ovs-vswitchd").arg("--version").output().is_err() {
            assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "ovs-vswitchd not found");
            eprintln!("skipped: ovs-vswitchd not found");
            return None;
        }
        let mut switch = Self { dir: TempDir::new().unwrap(), database: None, daemon: None, options };
        let database = switch.path("conf.db");
        switch.run("ovsdb-tool", &["create", &database, &schema.display().to_string()]);
        let remote = format!("--remote=punix:{}", switch.path("db.sock"));
        switch.database = Some(switch.spawn("ovsdb-server", &[&database, &remote]));
        (0..500)
            .take_while(|_| !switch.socket().exists())
            .for_each(|_| std::thread::sleep(Duration::from_millis(10)));
        switch.vsctl("--no-wait init");
        switch.start_daemon();
        Some(switch)
    }

    /// Starts the switching daemon, as at first or after [`kill_daemon`](Self::kill_daemon).
    pub(crate) fn start_daemon(&mut self) {
        let database = format!("unix:{}", self.path("db.sock"));
        self.daemon = Some(self.spawn("ovs-vswitchd", &[&[database.as_str()], self.options].concat()));
    }

    /// Ends the switching daemon; the database lives on.
    pub(crate) fn kill_daemon(&mut self) {
        end(self.daemon.take());
    }

    /// The database's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("db.sock")
    }

    /// Runs `ovs-vsctl` with arguments separated by blanks; its output.
    pub(crate) fn vsctl(&self, arguments: &str) -> String {
        let database = format!("--db=unix:{}", self.path("db.sock"));
        let mut all = vec![database.as_str(), "--timeout=10"];
        all.extend(arguments.split_whitespace());
        self.run("ovs-vsctl", &all)
    }

    /// Moves this thread, and every process that it starts, into a network namespace of its own with
    /// its own names of namespaces; nothing in it outlives the test. `false`, with a message,
    /// without the privilege.
    pub(crate) fn enter_namespaces() -> bool {
        use nix::mount::{MsFlags, mount};
        use nix::sched::{CloneFlags, unshare};

        const NONE: Option<&str> = None;
        let entered = unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
            .and_then(|()| mount(NONE, "/", NONE, MsFlags::MS_PRIVATE | MsFlags::MS_REC, NONE))
            .and_then(|()| mount(Some("none"), "/run", Some("tmpfs"), MsFlags::empty(), NONE));
        if entered.is_err() {
            assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "CAP_SYS_ADMIN not found");
            eprintln!("skipped: CAP_SYS_ADMIN not found");
        }
        entered.is_ok()
    }

    fn spawn(&self, name: &str, arguments: &[&str]) -> Child {
        let [pid, control, log] = ["pid", "ctl", "log"].map(|end| self.path(&format!("{name}.{end}")));
        let mut command = self.command(name);
        command.args(arguments).args([
            format!("--pidfile={pid}"),
            format!("--unixctl={control}"),
            format!("--log-file={log}"),
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"] {
            command.env(variable, self.dir.path());
        }
        command.stdin(Stdio::null());
        command
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}

impl Drop for PrivateSwitch {
    fn drop(&mut self) {
        end(self.daemon.take());
        end(self.database.take());
    }
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}
