//! Plays a script against a cluster itself, without doorkeeper, and keeps its responses.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use bytes::Bytes;
use doorkeeper_model::client::{Client, Dialogue};
use doorkeeper_model::script::{self, ListenAddr, Ordinal, Request, Script, Step, Wait};

use super::brokers::{Brokers, IDS};
use super::topics;

/// A request and its response.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The step of the request, from 1.
    pub(super) step: usize,
    /// Its text.
    pub(super) text: String,
    pub(super) api_key: i16,
    pub(super) version: i16,
    correlation_id: i32,
    /// The response with its length; nothing if there is none, or the connection was closed.
    pub(super) response: Option<Bytes>,
}

struct ScriptClient<W> {
    client: Client,
    connection: Option<(Dialogue, W)>,
}

struct Player<'a, B: Brokers> {
    brokers: &'a mut B,
    clients: BTreeMap<u8, ScriptClient<B::Wire>>,
    played: Vec<(Ordinal, Exchange)>,
}

/// Plays all steps; all requests in their order.
///
/// # Errors
/// A step that this cannot play, or a cluster that cannot be reached.
pub(super) async fn play<B: Brokers>(script: &Script, brokers: &mut B) -> Result<Vec<Exchange>> {
    let coordinator = topics::coordinator(brokers).await?;
    let mut player = Player {
        brokers,
        clients: BTreeMap::new(),
        played: Vec::new(),
    };
    for (step, number) in script.steps.iter().zip(1..) {
        match step {
            Step::Client(who, script::Client::Connect(at)) => {
                let broker = match at {
                    // Any broker would do: one that requests about groups may be sent to.
                    ListenAddr::Bootstrap => coordinator,
                    ListenAddr::Broker(broker) => {
                        let index = usize::from(broker.0) % IDS.len();
                        IDS.get(index).copied().unwrap_or(coordinator)
                    }
                };
                player.connect(*who, broker).await?;
            }
            Step::Client(who, script::Client::Send(request)) => {
                player.send(*who, request, number, step).await?;
            }
            Step::Client(who, script::Client::Wait) => player.wait(*who).await?,
            Step::Wait(Wait::All) => {
                let all: Vec<u8> = player.clients.keys().copied().collect();
                for who in all {
                    player.wait(Ordinal(who)).await?;
                }
            }
            Step::Client(..)
            | Step::Broker(..)
            | Step::Leader(..)
            | Step::Net(..)
            | Step::Process(_)
            | Step::Heal
            | Step::Wait(Wait::Millis(_)) => bail!("step {number} `{step}` is not for brokers"),
        }
    }
    Ok(player
        .played
        .into_iter()
        .map(|(_, played)| played)
        .collect())
}

impl<B: Brokers> Player<'_, B> {
    async fn connect(&mut self, who: Ordinal, broker: i32) -> Result<()> {
        let wire = self.brokers.connect(broker).await?;
        let client = self.clients.entry(who.0).or_insert_with(|| ScriptClient {
            client: Client::new(who),
            connection: None,
        });
        client.connection = Some((client.client.connects(), wire));
        Ok(())
    }

    async fn send(
        &mut self,
        who: Ordinal,
        request: &Request,
        step: usize,
        text: &Step,
    ) -> Result<()> {
        let others = self.clients.iter().filter(|(other, _)| **other != who.0);
        let foreign = others
            .filter_map(|(_, it)| it.client.fetch_session())
            .next();
        let Some(ScriptClient { client, connection }) = self.clients.get_mut(&who.0) else {
            bail!("client c{} has no connection", who.0);
        };
        let Some((dialogue, wire)) = connection else {
            return Ok(());
        };
        client.says(
            dialogue,
            request,
            u8::MAX,
            self.brokers.topic_ids(),
            foreign,
        );
        let frame = dialogue.due().to_vec();
        dialogue.sent(frame.len());
        if let Some([_, _, _, _, k0, k1, v0, v1, i0, i1, i2, i3]) = frame.first_chunk() {
            let played = Exchange {
                step,
                text: text.to_string(),
                api_key: i16::from_be_bytes([*k0, *k1]),
                version: i16::from_be_bytes([*v0, *v1]),
                correlation_id: i32::from_be_bytes([*i0, *i1, *i2, *i3]),
                response: None,
            };
            self.played.push((who, played));
        }
        self.brokers.send(wire, &frame).await
    }

    async fn wait(&mut self, who: Ordinal) -> Result<()> {
        let Some(client) = self.clients.get_mut(&who.0) else {
            return Ok(());
        };
        let ScriptClient { client, connection } = client;
        while let Some((dialogue, wire)) = connection
            && dialogue.waits()
        {
            let Some(bytes) = self.brokers.receive(wire).await? else {
                *connection = None;
                return Ok(());
            };
            dialogue.received(&bytes);
            while let Some(heard) = client.hears(dialogue) {
                if let Err(violation) = heard.check() {
                    bail!("{violation}");
                }
                let id = heard.frame.get(4..8).and_then(|it| it.try_into().ok());
                let id = id.map(i32::from_be_bytes);
                let asked = self
                    .played
                    .iter_mut()
                    .find(|(by, played)| *by == who && Some(played.correlation_id) == id);
                if let Some((_, played)) = asked {
                    played.response = Some(heard.frame);
                }
            }
        }
        Ok(())
    }
}
