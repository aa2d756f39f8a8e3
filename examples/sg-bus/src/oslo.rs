//! Messages of oslo.messaging 2.0 as bytes: calls out, replies and casts in. No I/O.
//!
//! The body is a JSON object whose `oslo.message` is the message as JSON text
//! (`oslo_messaging/_drivers/common.py`, `serialize_msg`).

use secgroup_rpc::{Info, Limits, Message, Object, ReadError, Uuid, Value, read_value, write_value};

use crate::details::{self, Detail};
use crate::transport::AgentName;

/// Topic of Neutron's plugins.
pub const PLUGIN_TOPIC: &str = "q-plugin";
/// Topics of the casts that concern filters and wiring (`neutron_lib/agent/topics.py`).
pub const NOTICE_TOPICS: [&str; 4] = [
    "q-agent-notifier-security_group-update",
    "q-agent-notifier-port-update",
    "q-agent-notifier-port-delete",
    "q-agent-notifier-network-update",
];
/// Version of the compact call whose members are pairs of address and MAC.
const CALL_VERSION: &str = "1.3";
/// Version of ML2's calls about lists of devices.
const DEVICES_VERSION: &str = "1.5";

/// What Neutron can be asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// `security_group_info_for_devices`.
    Groups(Vec<Uuid>),
    /// `get_devices_details_list_and_failed_devices`.
    Wiring {
        /// For whom.
        host: AgentName,
        /// Of these.
        devices: Vec<Uuid>,
    },
    /// `update_device_list`: not a question, but confirmed like one.
    Report {
        /// Where.
        host: AgentName,
        /// These are up.
        up: Vec<Uuid>,
        /// These are not any more.
        down: Vec<Uuid>,
    },
}

/// What Neutron answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// To [`Question::Groups`].
    Groups(Info),
    /// To [`Question::Wiring`].
    Wiring(Vec<Detail>),
    /// To [`Question::Report`].
    Reported,
}

impl Question {
    /// Method, version and arguments.
    fn spelled(&self) -> (&'static str, &'static str, Value) {
        let list = |devices: &[Uuid]| devices.iter().map(ToString::to_string).collect::<Value>();
        let agent = |host: &AgentName| Value::from(format!("sg-bus-{host}").as_str());
        match self {
            Self::Groups(devices) => {
                let arguments = object([("devices", list(devices)), ("call_version", CALL_VERSION.into())]);
                ("security_group_info_for_devices", CALL_VERSION, arguments)
            }
            Self::Wiring { host, devices } => {
                let arguments =
                    [("devices", list(devices)), ("agent_id", agent(host)), ("host", host.as_str().into())];
                ("get_devices_details_list_and_failed_devices", DEVICES_VERSION, object(arguments))
            }
            Self::Report { host, up, down } => {
                let arguments = [
                    ("devices_up", list(up)),
                    ("devices_down", list(down)),
                    ("agent_id", agent(host)),
                    ("host", host.as_str().into()),
                ];
                ("update_device_list", DEVICES_VERSION, object(arguments))
            }
        }
    }
}

/// A call of Neutron's plugin.
#[derive(Clone, Debug)]
pub struct Call {
    /// What the reply will name it by.
    pub id: String,
    /// The bytes for the broker.
    pub body: Vec<u8>,
}

impl Call {
    /// Asks a question; the reply shall come to `reply_queue`. `id` and `unique` are different
    /// random texts: the second lets the receiver drop repetitions.
    pub fn new(question: &Question, reply_queue: &str, timeout_seconds: u64, id: &str, unique: &str) -> Self {
        let (method, version, arguments) = question.spelled();
        let inner = object([
            ("method", method.into()),
            ("args", arguments),
            ("version", version.into()),
            ("_msg_id", id.into()),
            ("_reply_q", reply_queue.into()),
            ("_timeout", Value::Int(timeout_seconds.try_into().unwrap_or(i64::MAX))),
            ("_unique_id", unique.into()),
            // What Neutron reads of the context; an agent acts as an administrator.
            ("_context_is_admin", true.into()),
            ("_context_roles", ["admin"].into_iter().collect()),
            ("_context_request_id", format!("req-{id}").into()),
        ]);
        let body = object([("oslo.version", "2.0".into()), ("oslo.message", write_value(&inner).into())]);
        Self { id: id.into(), body: write_value(&body).into_bytes() }
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// What arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Incoming {
    /// An answer to a call.
    Reply {
        /// Of which call.
        id: String,
        /// What it says; `None` is a sign of life, the answer is still being made.
        result: Option<Result<Answer, Failure>>,
    },
    /// A cast that concerns filters or wiring.
    Notice(Notice),
    /// Another one.
    Other(String),
}

/// "Something changed": ids without data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Notice {
    /// The rules of these groups.
    Rules(Vec<Uuid>),
    /// The members of these groups.
    Members(Vec<Uuid>),
    /// A port itself.
    Port(Uuid),
    /// A network itself.
    Network(Uuid),
}

/// An exception on the other side.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("Neutron answers {class}: {message}")]
pub struct Failure {
    /// The exception's class, such as `UnsupportedVersion`.
    pub class: String,
    /// Its message, cut to a line.
    pub message: String,
}

/// Why bytes are no message of oslo.messaging.
#[derive(Debug, thiserror::Error)]
pub enum OsloError {
    /// Not JSON, or not what Neutron sends.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A part is missing or of another type.
    #[error("no `{0}` in the message")]
    Missing(&'static str),
    /// The envelope is of another format.
    #[error("format {0} of oslo.messaging, where 2.0 is known")]
    Version(String),
}

/// Reads the body of a reply or cast. Unknown keys are skipped.
///
/// # Errors
/// [`OsloError`] if it is neither.
pub fn parse(body: &[u8], limits: &Limits) -> Result<Incoming, OsloError> {
    let outer = read_value(body, limits)?;
    let version = text(&outer, "oslo.version")?;
    // The second number counts compatible changes.
    if version.split('.').next() != Some("2") {
        return Err(OsloError::Version(version.chars().take(16).collect()));
    }
    let inner = read_value(text(&outer, "oslo.message")?.as_bytes(), limits)?;
    match inner.get("method") {
        Some(_) => cast(&inner),
        None => reply(&inner),
    }
}

fn cast(message: &Value) -> Result<Incoming, OsloError> {
    let arguments = message.get("args").ok_or(OsloError::Missing("args"))?;
    Ok(match text(message, "method")? {
        "security_groups_rule_updated" => Incoming::Notice(Notice::Rules(groups(arguments)?)),
        "security_groups_member_updated" => Incoming::Notice(Notice::Members(groups(arguments)?)),
        "port_update" => {
            let port = arguments.get("port").ok_or(OsloError::Missing("port"))?;
            Incoming::Notice(Notice::Port(id(text(port, "id")?)?))
        }
        "network_update" => {
            let network = arguments.get("network").ok_or(OsloError::Missing("network"))?;
            Incoming::Notice(Notice::Network(id(text(network, "id")?)?))
        }
        "port_delete" => Incoming::Notice(Notice::Port(id(text(arguments, "port_id")?)?)),
        other => Incoming::Other(other.into()),
    })
}

fn groups(arguments: &Value) -> Result<Vec<Uuid>, OsloError> {
    let groups = arguments.get("security_groups").and_then(Value::as_array);
    let groups = groups.ok_or(OsloError::Missing("security_groups"))?;
    groups.iter().map(|group| id(group.as_str().unwrap_or_default())).collect()
}

fn reply(message: &Value) -> Result<Incoming, OsloError> {
    let id = text(message, "_msg_id")?.into();
    let failure = message.get("failure").filter(|failure| **failure != Value::Null);
    let result = match (failure, message.get("result")) {
        (Some(failure), _) => Some(Err(remote_failure(failure))),
        (None, Some(result @ Value::Object(_))) => Some(Ok(answer(result)?)),
        (None, _) if message.get("ending") == Some(&Value::Bool(false)) => None,
        _ => return Err(OsloError::Missing("result")),
    };
    Ok(Incoming::Reply { id, result })
}

fn answer(result: &Value) -> Result<Answer, OsloError> {
    if result.get("failed_devices").is_some() {
        return details::read(result).map(Answer::Wiring).ok_or(OsloError::Missing("devices"));
    }
    if result.get("failed_devices_up").is_some() {
        return Ok(Answer::Reported);
    }
    match Message::from_value(result)? {
        Message::Info(info) => Ok(Answer::Groups(info)),
        _ => Err(OsloError::Missing("result")),
    }
}

/// An exception is JSON text again (`serialize_remote_exception`).
fn remote_failure(failure: &Value) -> Failure {
    let shallow = Limits { depth: 16, ..Limits::default() };
    let parsed = failure.as_str().and_then(|text| read_value(text.as_bytes(), &shallow).ok());
    let field = |key| parsed.as_ref().and_then(|parsed| parsed.get(key)).and_then(Value::as_str);
    let line = |text: &str| text.lines().next().unwrap_or_default().chars().take(200).collect();
    Failure {
        class: line(field("class").unwrap_or("an exception")),
        message: line(field("message").unwrap_or("without a message")),
    }
}

fn text<'a>(value: &'a Value, key: &'static str) -> Result<&'a str, OsloError> {
    value.as_object().and_then(|object: &Object| object.get(key)?.as_str()).ok_or(OsloError::Missing(key))
}

fn id(text: &str) -> Result<Uuid, OsloError> {
    text.parse().map_err(|_| OsloError::Missing("id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Uuid = Uuid([0x42; 16]);

    fn envelope(inner: &str) -> Vec<u8> {
        let outer = object([("oslo.version", "2.0".into()), ("oslo.message", inner.into())]);
        write_value(&outer).into_bytes()
    }

    fn read(inner: &str) -> Result<Incoming, OsloError> {
        parse(&envelope(inner), &Limits::default())
    }

    #[test]
    fn a_call_is_a_request_that_our_own_reader_knows() {
        let call = Call::new(&Question::Groups(vec![PORT]), "reply_1", 60, "id", "unique");
        let message = secgroup_rpc::read_json(&call.body, &Limits::default()).unwrap();
        let Some(Message::Request(request)) = message.payload() else { panic!("{message:?}") };
        assert_eq!(request.devices, [PORT.to_string()]);
        assert_eq!(request.version, Some(secgroup_rpc::CallVersion::V1_3));
    }

    #[test]
    fn replies_are_results_failures_or_signs_of_life() {
        let empty = r#"{"devices": {}, "security_groups": {}, "sg_member_ips": {}}"#;
        let result =
            read(&format!(r#"{{"result": {empty}, "failure": null, "ending": true, "_msg_id": "7"}}"#));
        let id = || "7".to_owned();
        assert_eq!(
            result.unwrap(),
            Incoming::Reply { id: id(), result: Some(Ok(Answer::Groups(Info::default()))) }
        );

        let failure = read(
            r#"{"result": null, "failure": "{\"class\": \"UnsupportedVersion\", \"message\": \"no 1.3\\nmore\"}", "ending": true, "_msg_id": "7"}"#,
        );
        let expected = Failure { class: "UnsupportedVersion".into(), message: "no 1.3".into() };
        assert_eq!(failure.unwrap(), Incoming::Reply { id: id(), result: Some(Err(expected)) });

        let alive = read(r#"{"result": null, "failure": null, "ending": false, "_msg_id": "7"}"#);
        assert_eq!(alive.unwrap(), Incoming::Reply { id: id(), result: None });
    }

    #[test]
    fn casts_say_whom_they_concern() {
        let cast = |method: &str, args: &str| {
            read(&format!(r#"{{"method": "{method}", "args": {args}, "version": "1.1", "new": 1}}"#)).unwrap()
        };
        let groups = format!(r#"{{"security_groups": ["{PORT}"]}}"#);
        assert_eq!(
            cast("security_groups_rule_updated", &groups),
            Incoming::Notice(Notice::Rules(vec![PORT]))
        );
        assert_eq!(
            cast("security_groups_member_updated", &groups),
            Incoming::Notice(Notice::Members(vec![PORT]))
        );
        let port = format!(r#"{{"port": {{"id": "{PORT}", "name": "x"}}, "network_type": "vxlan"}}"#);
        assert_eq!(cast("port_update", &port), Incoming::Notice(Notice::Port(PORT)));
        let gone = format!(r#"{{"port_id": "{PORT}"}}"#);
        assert_eq!(cast("port_delete", &gone), Incoming::Notice(Notice::Port(PORT)));
        let network = format!(r#"{{"network": {{"id": "{PORT}", "mtu": 1500}}}}"#);
        assert_eq!(cast("network_update", &network), Incoming::Notice(Notice::Network(PORT)));
        assert_eq!(cast("tunnel_update", "{}"), Incoming::Other("tunnel_update".into()));
    }

    #[test]
    fn what_is_no_message_is_an_error_and_no_panic() {
        for inner in [
            "",
            "{}",
            "[]",
            r#"{"method": "port_update", "args": {"port": {"id": "tap"}}}"#,
            r#"{"method": "security_groups_rule_updated", "args": {"security_groups": [1]}}"#,
            r#"{"result": [], "_msg_id": "7"}"#,
            r#"{"result": {"a": 1}, "_msg_id": "7"}"#,
        ] {
            assert!(read(inner).is_err(), "{inner}");
        }
        let whole = Call::new(&Question::Groups(vec![PORT]), "reply_1", 60, "id", "unique").body;
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut], &Limits::default()).is_err(), "cut at {cut}");
        }
        let newer = br#"{"oslo.version": "3.0", "oslo.message": "{}"}"#;
        assert!(matches!(parse(newer, &Limits::default()), Err(OsloError::Version(_))));
        let deep = envelope(&"[".repeat(100_000));
        assert!(parse(&deep, &Limits::default()).is_err());
    }
}
