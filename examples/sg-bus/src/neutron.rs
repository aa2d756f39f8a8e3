//! Neutron's side of RabbitMQ: calls to its plugin, and its casts.
//!
//! Exchanges and queues are those of oslo.messaging's rabbit driver (`impl_rabbit.py`): calls go to the
//! topic exchange `neutron`, replies come to a queue of ours through the default exchange, and casts
//! through one fan-out exchange for each topic.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_lite::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection, Consumer, ExchangeKind};
use secgroup_rpc::Limits;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backoff::Backoff;
use crate::oslo::{self, Answer, Call, Incoming, NOTICE_TOPICS, Notice, PLUGIN_TOPIC, Question};
use crate::transport::{QUEUE, amqp};

/// Neutron's `control_exchange`.
const EXCHANGE: &str = "neutron";
/// How long an answer may take, as oslo.messaging's `rpc_response_timeout`.
pub const ANSWER: Duration = Duration::from_secs(60);
/// How long the broker may take to confirm.
const PATIENCE: Duration = Duration::from_secs(15);
/// Notices that may wait in the broker; more are as good as lost, and everything is asked anew.
const BACKLOG: i64 = 16_384;
/// Largest body that is read.
const MAX_BODY: usize = 256 << 20;

/// What Neutron says by itself.
#[derive(Debug)]
pub enum Event {
    /// A connection was made: notices before it may have been missed.
    Connected,
    /// There is no connection any more.
    Lost(String),
    /// Something changed.
    Notice(Notice),
}

/// A question and where the answer goes.
type Asked = (Question, oneshot::Sender<Result<Answer>>);

/// A client of Neutron that reconnects.
#[derive(Debug)]
pub struct Neutron {
    questions: mpsc::Sender<Asked>,
    /// What it says by itself.
    pub events: mpsc::Receiver<Event>,
    _tasks: JoinSet<()>,
}

/// Asks Neutron.
#[derive(Clone, Debug)]
pub struct Asker {
    questions: mpsc::Sender<Asked>,
}

impl Neutron {
    /// A client through the broker at `uri`.
    ///
    /// # Errors
    /// [`BadInput`](crate::input::BadInput) if that is no address.
    pub fn new(uri: &str) -> Result<Self> {
        let uri = amqp::parse_uri(uri)?;
        let (questions, asked) = mpsc::channel(QUEUE);
        let (tell, events) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_connected(uri, tell, asked));
        Ok(Self { questions, events, _tasks: tasks })
    }

    /// A way to ask, apart from the events.
    pub fn asker(&self) -> Asker {
        Asker { questions: self.questions.clone() }
    }
}

impl Asker {
    /// Asks and waits.
    ///
    /// # Errors
    /// If Neutron cannot be reached, does not answer in time, or answers with an exception.
    pub async fn ask(&self, question: Question) -> Result<Answer> {
        let (answer, answered) = oneshot::channel();
        self.questions.send((question, answer)).await.ok().context("the client ended")?;
        timeout(ANSWER, answered).await.context("Neutron does not answer")?.context("the connection broke")?
    }
}

async fn keep_connected(uri: AMQPUri, tell: mpsc::Sender<Event>, mut asked: mpsc::Receiver<Asked>) {
    let mut backoff = Backoff::for_connections();
    loop {
        let session = async {
            let session = Session::open(&uri).await?;
            backoff.succeeded();
            session.run(&tell, &mut asked).await
        };
        let Err(error) = session.await else { return };
        // Dropped questions are answered with "the connection broke".
        while asked.try_recv().is_ok() {}
        if tell.send(Event::Lost(format!("{error:#}"))).await.is_err() {
            return;
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

struct Session {
    _connection: Connection,
    channel: Channel,
    replies: Consumer,
    reply_queue: String,
    notices: Consumer,
    open: HashMap<String, oneshot::Sender<Result<Answer>>>,
}

impl Session {
    async fn open(uri: &AMQPUri) -> Result<Self> {
        let connection = amqp::connect(uri, "sg-bus bridge").await?;
        for topic in NOTICE_TOPICS {
            declare_fan_out(&connection, topic).await?;
        }
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        channel.basic_qos(64, BasicQosOptions::default()).await?;
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let declared = channel
            .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, passive, FieldTable::default())
            .await;
        declared.context("exchange `neutron`: no Neutron was here yet")?;
        let reply_queue = format!("reply_{:032x}", fastrand::u128(..));
        let replies = own_queue(&channel, &reply_queue).await?;
        let notice_queue = format!("sg-bus_fanout_{:032x}", fastrand::u128(..));
        let notices = own_queue(&channel, &notice_queue).await?;
        for topic in NOTICE_TOPICS {
            let (queue, exchange) = (notice_queue.as_str().into(), format!("{topic}_fanout").into());
            let options = QueueBindOptions::default();
            channel.queue_bind(queue, exchange, topic.into(), options, FieldTable::default()).await?;
        }
        Ok(Self { _connection: connection, channel, replies, reply_queue, notices, open: HashMap::new() })
    }

    /// Ends well if nobody listens any more.
    async fn run(mut self, tell: &mpsc::Sender<Event>, asked: &mut mpsc::Receiver<Asked>) -> Result<()> {
        if tell.send(Event::Connected).await.is_err() {
            return Ok(());
        }
        loop {
            tokio::select! {
                delivery = self.replies.next() => {
                    if let Some(Incoming::Reply { id, result: Some(result) }) = take(delivery).await?
                        && let Some(answer) = self.open.remove(&id)
                    {
                        _ = answer.send(result.map_err(Into::into));
                    }
                }
                delivery = self.notices.next() => {
                    if let Some(Incoming::Notice(notice)) = take(delivery).await?
                        && tell.send(Event::Notice(notice)).await.is_err()
                    {
                        return Ok(());
                    }
                }
                question = asked.recv() => {
                    let Some((question, answer)) = question else { return Ok(()) };
                    self.open.retain(|_, answer| !answer.is_closed());
                    self.ask(&question, answer).await?;
                }
            }
        }
    }

    async fn ask(&mut self, question: &Question, answer: oneshot::Sender<Result<Answer>>) -> Result<()> {
        let [id, unique] = [(); 2].map(|()| format!("{:032x}", fastrand::u128(..)));
        let call = Call::new(question, &self.reply_queue, ANSWER.as_secs(), &id, &unique);
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into());
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key): (ShortString, ShortString) = (EXCHANGE.into(), PLUGIN_TOPIC.into());
        let published = self.channel.basic_publish(exchange, key, mandatory, &call.body, properties).await?;
        let confirmed = timeout(PATIENCE, published).await.context("the broker confirms nothing")??;
        if !confirmed.is_ack() || confirmed.take_message().is_some() {
            _ = answer.send(Err(anyhow::anyhow!("nobody listens to {PLUGIN_TOPIC}: is neutron-server up?")));
        } else {
            self.open.insert(call.id, answer);
        }
        Ok(())
    }
}

/// Reads and acknowledges; what is no message is reported and skipped.
async fn take(delivery: Option<lapin::Result<Delivery>>) -> Result<Option<Incoming>> {
    let delivery = delivery.context("the broker ended the subscription")??;
    delivery.acker.ack(BasicAckOptions::default()).await?;
    if delivery.data.len() > MAX_BODY {
        bail!("a message of {} bytes from Neutron", delivery.data.len());
    }
    match oslo::parse(&delivery.data, &Limits::default()) {
        Ok(incoming) => Ok(Some(incoming)),
        Err(error) => {
            eprintln!("sg-bus bridge: a message from Neutron is not readable: {error}");
            Ok(None)
        }
    }
}

/// Durable where Neutron has `rabbit_transient_quorum_queue`; both sides must declare it alike.
async fn declare_fan_out(connection: &Connection, topic: &str) -> Result<()> {
    let exchange: ShortString = format!("{topic}_fanout").into();
    let mut refused = None;
    for durable in [false, true] {
        let options = ExchangeDeclareOptions { durable, auto_delete: true, ..Default::default() };
        // A refusal closes the channel, so each attempt has its own.
        let channel = connection.create_channel().await?;
        match channel
            .exchange_declare(exchange.clone(), ExchangeKind::Fanout, options, FieldTable::default())
            .await
        {
            Ok(()) => return Ok(()),
            Err(error) => refused = Some(error),
        }
    }
    refused.map_or(Ok(()), |error| Err(error).with_context(|| format!("exchange {exchange}")))
}

/// A queue that goes when we go.
async fn own_queue(channel: &Channel, name: &str) -> Result<Consumer> {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(BACKLOG));
    channel.queue_declare(name.into(), options, arguments).await?;
    let options = BasicConsumeOptions::default();
    Ok(channel.basic_consume(name.into(), "".into(), options, FieldTable::default()).await?)
}
