//! Puts exported rules into a data plane, and takes them out again.
//!
//! What is ours has a name: the table `macnat`, chains `macnat-*`, cookies that begin with
//! [`COOKIE`]. Only that is touched. A mark made of the rules stands beside them, so that applying
//! the same rules again changes nothing. A [`Plan`] is made first and shown; running it is a second
//! step.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use mac_nat::export::netlink::Rule;
use mac_nat::export::{COOKIE, DataPlane, Interfaces, LeftOut, Rules};
use serde_json::Value;

use crate::{BadInput, Settings, nfnetlink};

/// The bits of a cookie that say that a flow is ours.
const COOKIE_MASK: u64 = 0xFFFF_FFFF_FFFF_0000;

/// What would be done, in turn; nothing if all is as it should be.
#[derive(Debug)]
pub struct Plan {
    steps: Vec<Step>,
    /// Bindings that the data plane cannot carry.
    pub left_out: Vec<LeftOut>,
}

/// One step.
#[derive(Debug)]
enum Step {
    Run {
        program: &'static str,
        arguments: Vec<String>,
        input: Option<String>,
    },
    /// Rules that no program can write.
    Netlink(Vec<Rule>),
}

/// Which data plane, and where.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// What carries the rules.
    pub plane: DataPlane,
    /// The bridge of Open vSwitch.
    pub bridge: Option<&'a str>,
}

impl Plan {
    /// What puts the rules of a configuration there, in place of older ones of ours.
    ///
    /// # Errors
    /// A configuration without rules for this data plane, a program that cannot tell the present state.
    pub fn apply(target: Target<'_>, settings: &Settings) -> Result<Self> {
        let ports = settings.ports.iter().map(|port| (port.id, port.interface.as_str()));
        let rules = target.plane.export(&settings.engine, &Interfaces::new(&settings.uplink, ports))?;
        let mark = mark(&rules);
        let steps = match target.plane {
            DataPlane::Ebtables => apply_ebtables(&rules, mark)?,
            DataPlane::OpenFlow | DataPlane::OpenFlowLearn => apply_flows(&rules, mark, target.bridge()?)?,
            plane => apply_nft(family(plane), &rules, mark)?,
        };
        Ok(Self { steps, left_out: rules.left_out })
    }

    /// What takes everything of ours away.
    ///
    /// # Errors
    /// A program that cannot tell the present state.
    pub fn remove(target: Target<'_>) -> Result<Self> {
        let steps = match target.plane {
            DataPlane::Ebtables => remove_ebtables(&ebtables_listing()?),
            DataPlane::OpenFlow | DataPlane::OpenFlowLearn => {
                let bridge = target.bridge()?;
                match our_flows(bridge)?.is_empty() {
                    true => vec![],
                    false => vec![ofctl(&["del-flows", bridge, &ours()], None)],
                }
            }
            plane => match nft_chains(family(plane))?.is_empty() {
                true => vec![],
                false => vec![run("nft", &["delete", "table", family(plane), "macnat"], None)],
            },
        };
        Ok(Self { steps, left_out: vec![] })
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Does it.
    ///
    /// # Errors
    /// The first step that failed. What is not there yet lets nothing out: `apply` again, or `remove`.
    pub fn execute(&self) -> Result<()> {
        for step in &self.steps {
            match step {
                Step::Run { program, arguments, input } => {
                    output(program, arguments, input.as_deref())?;
                }
                Step::Netlink(rules) => {
                    nfnetlink::send(rules).context("netlink (the chains are there and drop)")?;
                }
            }
        }
        Ok(())
    }
}

impl Target<'_> {
    fn bridge(&self) -> Result<&str> {
        let missing =
            || BadInput::new("--bridge", "which bridge of Open vSwitch?").help("such as `--bridge br0`");
        Ok(self.bridge.ok_or_else(missing)?)
    }
}

/// Equal for equal rules.
fn mark(rules: &Rules) -> u16 {
    let mut hasher = DefaultHasher::new();
    rules.text.hash(&mut hasher);
    rules.netlink.iter().for_each(|rule| rule.to_string().hash(&mut hasher));
    // Zero is for what frames have taught.
    (hasher.finish() as u16).max(1)
}

fn family(plane: DataPlane) -> &'static str {
    if plane == DataPlane::NftNetdev { "netdev" } else { "bridge" }
}

/// One transaction replaces the table; the mark, an empty chain, comes last.
fn apply_nft(family: &str, rules: &Rules, mark: u16) -> Result<Vec<Step>> {
    let mark = format!("mark-{mark:04x}");
    if nft_chains(family)?.contains(&mark) {
        return Ok(vec![]);
    }
    let mut steps = vec![run("nft", &["-f", "-"], Some(rules.text.clone()))];
    if !rules.netlink.is_empty() {
        steps.push(Step::Netlink(rules.netlink.clone()));
    }
    steps.push(run("nft", &["add", "chain", family, "macnat", &mark], None));
    Ok(steps)
}

/// The chains of our table.
fn nft_chains(family: &str) -> Result<Vec<String>> {
    let listing = output("nft", &words(&["-j", "list", "chains"]), None)?;
    let json: Value = serde_json::from_str(&listing).context("nft -j list chains")?;
    let items = json.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let name = |chain: &Value| {
        let text = |key| chain.get(key).and_then(Value::as_str);
        let ours = text("table") == Some("macnat") && text("family") == Some(family);
        text("name").filter(|_| ours).map(str::to_owned)
    };
    Ok(items.filter_map(|item| item.get("chain").and_then(name)).collect())
}

/// The tool has no transactions that leave others' rules alone, so a chain that drops stands in
/// front as long as ours are not complete.
fn apply_ebtables(rules: &Rules, mark: u16) -> Result<Vec<Step>> {
    let mark = format!("macnat-{mark:04x}");
    let listing = ebtables_listing()?;
    if chains(&listing).any(|chain| chain == mark) {
        return Ok(vec![]);
    }
    let hold = |action: &str| ebtables(&format!("{action} POSTROUTING -j macnat-hold"));
    let mut steps = remove_ebtables(&listing);
    steps.insert(0, ebtables("-N macnat-hold -P DROP"));
    steps.insert(1, hold("-I"));
    let commands = rules.text.lines().filter_map(|line| line.strip_prefix("ebtables -t nat "));
    steps.extend(commands.map(ebtables));
    steps.push(hold("-D"));
    steps.push(ebtables("-X macnat-hold"));
    steps.push(ebtables(&format!("-N {mark} -P RETURN")));
    Ok(steps)
}

fn remove_ebtables(listing: &str) -> Vec<Step> {
    let jumps = listing.lines().filter(|line| line.contains(" -j macnat-"));
    let jumps = jumps.filter_map(|line| line.strip_prefix("-A ")).filter(|rule| !rule.starts_with("macnat-"));
    let mut steps: Vec<_> = jumps.map(|rule| ebtables(&format!("-D {rule}"))).collect();
    steps.extend(chains(listing).map(|chain| ebtables(&format!("-F {chain}"))));
    steps.extend(chains(listing).map(|chain| ebtables(&format!("-X {chain}"))));
    steps
}

/// Table `nat` as `ebtables-save` prints it.
fn ebtables_listing() -> Result<String> {
    let listing = output("ebtables-save", &[], None)?;
    let nat = listing.lines().skip_while(|line| *line != "*nat").skip(1);
    Ok(nat.take_while(|line| !line.starts_with('*')).fold(String::new(), |text, line| text + line + "\n"))
}

/// Our chains.
fn chains(listing: &str) -> impl Iterator<Item = &str> {
    let names = listing.lines().filter_map(|line| line.strip_prefix(':')?.split(' ').next());
    names.filter(|name| name.starts_with("macnat-"))
}

fn ebtables(command: &str) -> Step {
    let mut arguments = words(&["-t", "nat"]);
    arguments.extend(command.split_whitespace().map(str::to_owned));
    Step::Run { program: "ebtables", arguments, input: None }
}

/// One bundle: the switch takes all of it or nothing.
fn apply_flows(rules: &Rules, mark: u16, bridge: &str) -> Result<Vec<Step>> {
    let (exported, marked) = (format!("cookie={COOKIE:#x},"), COOKIE | u64::from(mark));
    let flows: Vec<&str> = rules.text.lines().filter_map(|line| line.strip_prefix(&exported)).collect();
    let present = our_flows(bridge)?;
    let ours = present.iter().filter(|cookie| **cookie == marked).count();
    let foreign = present.iter().filter(|cookie| ![marked, COOKIE].contains(cookie)).count();
    if (ours, foreign) == (flows.len(), 0) {
        return Ok(vec![]);
    }
    let mut input = format!("delete {}\n", self::ours());
    flows.iter().for_each(|flow| input += &format!("add cookie={marked:#x},{flow}\n"));
    Ok(vec![ofctl(&["--bundle", "add-flows", bridge, "-"], Some(input))])
}

/// The cookies of our flows.
fn our_flows(bridge: &str) -> Result<Vec<u64>> {
    let Step::Run { program, arguments, .. } = ofctl(&["dump-flows", bridge, &ours()], None) else {
        return Ok(vec![]);
    };
    let listing = output(program, &arguments, None)?;
    let cookies = listing.lines().filter_map(|line| line.trim().strip_prefix("cookie=0x")?.split(',').next());
    Ok(cookies.filter_map(|cookie| u64::from_str_radix(cookie, 16).ok()).collect())
}

fn ours() -> String {
    format!("cookie={COOKIE:#x}/{COOKIE_MASK:#x}")
}

fn ofctl(arguments: &[&str], input: Option<String>) -> Step {
    run("ovs-ofctl", &[&["-O", "OpenFlow14"], arguments].concat(), input)
}

fn run(program: &'static str, arguments: &[&str], input: Option<String>) -> Step {
    Step::Run { program, arguments: words(arguments), input }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What a program prints; its complaint is the error.
fn output(program: &str, arguments: &[String], input: Option<&str>) -> Result<String> {
    let shown = || format!("{program} {}", arguments.join(" "));
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{program}: is it installed?"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that has given up says why itself.
        let _ = stdin.write_all(input.unwrap_or_default().as_bytes());
    }
    let output = child.wait_with_output().with_context(shown)?;
    if !output.status.success() {
        bail!("{}: {}", shown(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            match step {
                Step::Run { program, arguments, input } => {
                    writeln!(f, "{program} {}", arguments.join(" "))?;
                    input
                        .iter()
                        .flat_map(|input| input.lines())
                        .try_for_each(|line| writeln!(f, "    {line}"))?;
                }
                Step::Netlink(rules) => {
                    writeln!(f, "netlink: {} rules", rules.len())?;
                    for line in rules
                        .iter()
                        .flat_map(|rule| rule.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
                    {
                        writeln!(f, "    {line}")?;
                    }
                }
            }
        }
        Ok(())
    }
}
