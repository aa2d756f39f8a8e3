//! Talk to RRCP switches: scan, read, set, watch for loops, decode captures.
//!
//! ```text
//! $ rrcp-ctl decode 'ffffffffffff 52544c010203 8100 000a 8899 03 00 0000'
//!      1  52:54:4c:01:02:03 > ff:ff:ff:ff:ff:ff, [0x8100 vid 10 pcp 0] loop probe, classic, ttl 0
//! ```

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget};
use rrcp::MacAddr6;
use rrcp::client::{Consent, Failure, StartError};
use rrcp_ctl::cli::{Cli, Command, Serve, VlanCommand};
use rrcp_ctl::commands::loops::{self, Alarm, Watched};
use rrcp_ctl::commands::scan::Scan;
use rrcp_ctl::commands::{ports, print, registers, vlan};
use rrcp_ctl::record::mac;
use rrcp_ctl::session::Session;
use rrcp_ctl::simulated::{Faults, Setup};
use rrcp_ctl::{decode, serve};

/// No answer, a refusal, or a loop.
const NO: u8 = 1;
/// Bad input.
const BAD_INPUT: u8 = 2;
/// The interface cannot be used.
const NO_ACCESS: u8 = 3;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
            let refused = error.chain().any(|cause| cause.is::<Failure>() || cause.is::<StartError>());
            // A closed pipe is how `| head` says enough.
            if io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                return ExitCode::SUCCESS;
            }
            eprintln!("rrcp-ctl: {error:#}");
            ExitCode::from(match io {
                _ if refused => NO,
                Some(error) if error.kind() != io::ErrorKind::NotFound => NO_ACCESS,
                _ => BAD_INPUT,
            })
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    let out = &mut out;
    match &cli.command {
        Command::Decode { input } => decode_input(cli, input, out),
        Command::Serve(options) => be_a_switch(cli, options, out),
        Command::Scan => {
            let scan = find_all(&mut open(cli)?)?;
            print(out, cli.json, &scan)?;
            Ok(if scan.found().is_empty() { ExitCode::from(NO) } else { ExitCode::SUCCESS })
        }
        Command::Ping { target, count } => ping(cli, target.mac, *count, out),
        Command::Watch { targets, interval, count } => {
            watch(cli, targets, Duration::from_secs_f64(*interval), *count, out)
        }
        Command::Loops { target } => {
            let loops = loops::loops(&mut open(cli)?.switch(target.mac, Consent::Safe))?;
            print(out, cli.json, &loops)?;
            Ok(if loops.is_looped() { ExitCode::from(NO) } else { ExitCode::SUCCESS })
        }
        Command::Get { target, registers } => {
            let mut session = open(cli)?;
            let mut switch = session.switch(target.mac, Consent::Safe);
            for register in registers.iter().flat_map(|row| row.iter()) {
                print(out, cli.json, &registers::get(&mut switch, register)?)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Set { target, register, data, mask, consent } => {
            let mut session = open(cli)?;
            let mut switch = session.switch(target.mac, agreed(consent.dangerous));
            match registers::set(&mut switch, *register, *data, *mask)? {
                Some(value) => print(out, cli.json, &value)?,
                None => eprintln!("sent; register {register} clears itself and cannot be read back"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Dump { target } => dump(cli, target.mac, out),
        Command::Ports { target, ports } => {
            let report = ports::ports(&mut open(cli)?.switch(target.mac, Consent::Safe), ports.ports)?;
            print(out, cli.json, &report)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Mib { target, ports } => {
            let report = ports::mib(&mut open(cli)?.switch(target.mac, Consent::Safe), ports.ports)?;
            print(out, cli.json, &report)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Vlan(command) => vlans(cli, command, out),
    }
}

fn open(cli: &Cli) -> Result<Session> {
    let interface = cli.iface.as_deref().context("which interface? Name it with --iface")?;
    Session::open(interface, cli.key, cli.vlan, cli.retries)
}

const fn agreed(dangerous: bool) -> Consent {
    if dangerous { Consent::Dangerous } else { Consent::Safe }
}

fn decode_input(cli: &Cli, input: &str, out: &mut impl Write) -> Result<ExitCode> {
    let summary = decode::run(input, cli.json, out)?;
    out.flush()?;
    if summary.frames > 1 {
        let decode::Summary { frames, ours, malformed } = summary;
        eprintln!("{ours} of {frames} frames are 0x8899, {malformed} of them malformed");
    }
    Ok(ExitCode::SUCCESS)
}

fn be_a_switch(cli: &Cli, options: &Serve, out: &mut impl Write) -> Result<ExitCode> {
    let Serve { interfaces, mac, ports, time, lose, double } = options;
    let random = || RandomState::new().build_hasher().finish();
    let mut setup = Setup {
        ports: *ports,
        seed: [random(), random()],
        faults: Faults { lose: *lose, double: *double },
        ..Setup::new(*mac)
    };
    setup.identity.key = cli.key;
    serve::run(&setup, interfaces, time.map(Duration::from_secs_f64), cli.json, out)?;
    Ok(ExitCode::SUCCESS)
}

fn find_all(session: &mut Session) -> Result<Scan> {
    let mut scan = Scan::default();
    session.scan(|event| scan.take(event))?;
    Ok(scan)
}

fn ping(cli: &Cli, target: MacAddr6, count: u32, out: &mut impl Write) -> Result<ExitCode> {
    let mut session = open(cli)?;
    let mut answers = 0;
    for number in 1..=count {
        let round_trip = session.ping(target)?;
        answers += u32::from(round_trip.is_some());
        let millis = round_trip.map(|time| time.as_secs_f64() * 1e3);
        match (cli.json, millis) {
            (true, millis) => {
                let line = serde_json::json!({ "ping": number, "switch": mac(target), "ms": millis });
                writeln!(out, "{line}")?;
            }
            (false, Some(millis)) => writeln!(out, "{} answers in {millis:.3} ms", mac(target))?,
            (false, None) => writeln!(out, "{} does not answer", mac(target))?,
        }
        out.flush()?;
    }
    Ok(if answers == 0 { ExitCode::from(NO) } else { ExitCode::SUCCESS })
}

fn dump(cli: &Cli, target: MacAddr6, out: &mut impl Write) -> Result<ExitCode> {
    let mut session = open(cli)?;
    let mut switch = session.switch(target, Consent::Safe);
    let registers = registers::readable();
    // Values scroll by anyway if standard output is the terminal.
    let visible = io::stderr().is_terminal() && !io::stdout().is_terminal();
    let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let progress = ProgressBar::with_draw_target(Some(registers.len() as u64), target);
    for register in registers {
        print(out, cli.json, &registers::get(&mut switch, register)?)?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(ExitCode::SUCCESS)
}

fn vlans(cli: &Cli, command: &VlanCommand, out: &mut impl Write) -> Result<ExitCode> {
    let mut session = open(cli)?;
    match command {
        VlanCommand::Show { target, ports } => {
            let report = vlan::show(&mut session.switch(target.mac, Consent::Safe), ports.ports)?;
            print(out, cli.json, &report)?;
        }
        VlanCommand::Set { target, index, vid, members, pvid, strip, leave, mode, consent } => {
            let change = vlan::Change {
                index: *index,
                vid: *vid,
                members: *members,
                pvid: pvid.unwrap_or_default(),
                strip: strip.unwrap_or_default(),
                leave: leave.unwrap_or_default(),
                mode: *mode,
            };
            vlan::set(&mut session.switch(target.mac, agreed(consent.dangerous)), &change)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Looks at each switch, waits, looks again.
fn watch(
    cli: &Cli,
    targets: &[MacAddr6],
    interval: Duration,
    count: Option<u64>,
    out: &mut impl Write,
) -> Result<ExitCode> {
    let mut session = open(cli)?;
    let mut targets: Vec<_> = targets.iter().map(|mac| mac.into_array()).collect();
    if targets.is_empty() {
        targets = find_all(&mut session)?.found().into_iter().collect();
        anyhow::ensure!(!targets.is_empty(), "a scan finds no switch to watch");
    }
    let mut watched: BTreeMap<_, Watched> =
        targets.into_iter().map(|mac| (mac, Watched::default())).collect();
    let started = Instant::now();
    for look in 0_u32.. {
        if count.is_some_and(|count| u64::from(look) >= count) {
            break;
        }
        for (target, watched) in &mut watched {
            let mut switch = session.switch((*target).into(), Consent::Safe);
            let looped = match loops::alarm(&mut switch) {
                Ok((_, ports)) => Some(ports),
                Err(error) if error.downcast_ref::<Failure>().is_some() => None,
                Err(error) => return Err(error),
            };
            for change in watched.take(looped) {
                let time = (started.elapsed().as_secs_f64() * 1e3).round() / 1e3;
                print(out, cli.json, &Alarm { time, switch: mac((*target).into()), change })?;
            }
        }
        let next = interval.saturating_mul(look.saturating_add(1));
        std::thread::sleep(next.saturating_sub(started.elapsed()));
    }
    Ok(ExitCode::SUCCESS)
}
