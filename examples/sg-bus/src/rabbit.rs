//! A RabbitMQ of one's own: in a temporary folder, on loopback, gone when dropped.
//!
//! For tests and measurements. It has its own node name, ports, cookie and port mapper, so it meets no
//! other RabbitMQ or Erlang node of the machine, and only the processes started here are ended.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::credentials::Made;
use crate::transport::amqp;

/// How long a broker may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// The file with what is not told by the environment.
const CONFIGURATION: &str = "rabbitmq.conf";
/// How long it may take to go when asked nicely.
const GRACE: Duration = Duration::from_secs(20);

/// A running broker.
#[derive(Debug)]
pub struct Rabbit {
    folder: TempDir,
    script: PathBuf,
    port: u16,
    tls_port: u16,
    distribution_port: u16,
    mapper_port: u16,
    mapper: Option<Child>,
    broker: Option<Child>,
}

impl Rabbit {
    /// Starts one; `None` if RabbitMQ is not installed.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start() -> Result<Option<Self>> {
        Self::start_configured(|_, _| Ok(String::new())).await
    }

    /// Starts one that serves TLS, too, with this certificate.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start_with_tls(made: &Made) -> Result<Option<Self>> {
        Self::start_configured(|folder, port| {
            let files = [("certfile", &made.certificate), ("keyfile", &made.key)];
            let mut text = format!("listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.verify = verify_none\n");
            for (option, pem) in files {
                let file = folder.join(option);
                fs::write(&file, pem)?;
                text += &format!("ssl_options.{option} = {}\n", file.display());
            }
            Ok(text)
        })
        .await
    }

    async fn start_configured(
        configuration: impl FnOnce(&Path, u16) -> Result<String>,
    ) -> Result<Option<Self>> {
        let Some(script) = find() else { return Ok(None) };
        let [port, tls_port, distribution_port, mapper_port] = free_ports()?;
        let folder = tempfile::Builder::new().prefix("sg-bus-rabbit").tempdir()?;
        fs::write(folder.path().join("plugins"), "[].\n")?;
        fs::write(folder.path().join(CONFIGURATION), configuration(folder.path(), tls_port)?)?;
        let (mapper, broker) = (None, None);
        let mut rabbit =
            Self { folder, script, port, tls_port, distribution_port, mapper_port, mapper, broker };
        rabbit.start_mapper()?;
        rabbit.start_broker().await?;
        Ok(Some(rabbit))
    }

    /// Where clients connect.
    pub fn uri(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Where clients connect with TLS, by a name that the certificate may bear or not.
    pub fn tls_uri(&self, host: &str) -> String {
        format!("amqps://guest:guest@{host}:{}/%2f", self.tls_port)
    }

    /// Ends the broker without warning; durable queues stay on disk.
    pub fn kill(&mut self) {
        if let Some(mut broker) = self.broker.take() {
            end_group(&broker, "-KILL");
            _ = broker.wait();
        }
    }

    /// Starts the broker again after [`kill`](Self::kill), on the same ports and data.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start_broker(&mut self) -> Result<()> {
        let home = self.folder.path();
        let log = File::create(home.join("broker.log"))?;
        let mut command = Command::new(&self.script);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", home)
            .env("RABBITMQ_NODENAME", format!("sg-bus-{}@localhost", self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", home.join("data"))
            .env("RABBITMQ_LOG_BASE", home.join("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
            .env("RABBITMQ_CONF_ENV_FILE", home.join("no-environment"))
            .env("RABBITMQ_CONFIG_FILE", home.join(CONFIGURATION))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.mapper_port.to_string())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.broker = Some(command.spawn().context("cannot run rabbitmq-server")?);
        self.wait_until_up().await
    }

    async fn wait_until_up(&mut self) -> Result<()> {
        let uri = amqp::parse_uri(&self.uri())?;
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if let Some(status) = self.broker.as_mut().and_then(|broker| broker.try_wait().ok().flatten()) {
                bail!("rabbitmq-server ended with {status}:\n{}", self.last_words());
            }
            if amqp::connect(&uri, "is it up?").await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("rabbitmq-server is not up after {PATIENCE:?}:\n{}", self.last_words())
    }

    /// The port mapper as a child of ours; left to itself the broker would start one that stays.
    fn start_mapper(&mut self) -> Result<()> {
        let mut command = Command::new("epmd");
        command.args(["-address", "127.0.0.1", "-port", &self.mapper_port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.mapper = Some(command.spawn().context("cannot run epmd")?);
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("broker.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        if let Some(mut broker) = self.broker.take() {
            end_group(&broker, "-TERM");
            let give_up = Instant::now() + GRACE;
            while broker.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < give_up {
                std::thread::sleep(Duration::from_millis(50));
            }
            end_group(&broker, "-KILL");
            _ = broker.wait();
        }
        if let Some(mut mapper) = self.mapper.take() {
            _ = mapper.kill();
            _ = mapper.wait();
        }
    }
}

/// The broker and its helpers are a process group of their own.
fn end_group(leader: &Child, signal: &str) {
    let mut kill = Command::new("kill");
    kill.args([signal, "--", &format!("-{}", leader.id())]).stdout(Stdio::null()).stderr(Stdio::null());
    _ = kill.status();
}

/// Debian's own script in /usr/sbin changes to the user `rabbitmq`; the one behind it does not.
fn find() -> Option<PathBuf> {
    ["/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/rabbitmq/sbin/rabbitmq-server"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path: &PathBuf| Path::is_file(path))
}

/// Ports that nobody uses now. Somebody may take one before we do; then the start fails and says so.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let listeners: Vec<_> =
        (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port()));
    let ports: Vec<u16> = ports.collect::<Result<_, std::io::Error>>()?;
    ports.try_into().map_err(|_| std::io::Error::from(ErrorKind::AddrNotAvailable).into())
}
