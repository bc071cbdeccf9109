//! Plays the steps of a script over a network. A step happens at once; only waits let anything
//! move, and they end when what they name is there.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use doorkeeper_core::End;
use doorkeeper_core::id::BrokerId;
use doorkeeper_host::Handle;
use doorkeeper_model::script::{
    BrokerFault, Client, ListenAddr, NetLeg, Ordinal, ProcessFault, Script, Step, Wait,
};
use doorkeeper_net::Net;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::clients::Clients;
use super::doorkeeper;
use super::recorder::Recorder;
use super::rig::Rig;
use super::wait_limits::WaitLimits;
use crate::net::Reset;

/// Whatever plays a script is moved by.
pub(super) struct Player<N: Net> {
    pub(super) clients: Clients<N>,
    pub(super) rig: Rig,
    pub(super) cluster: Handle,
    pub(super) recorder: Arc<Recorder>,
    /// Stops doorkeeper in order.
    pub(super) stop: CancellationToken,
    pub(super) wait_limits: WaitLimits,
}

/// The outcome: the clients of all sessions, or why it could not be played.
type PlayResult = Result<Vec<Ordinal>, String>;

impl<N: Net> Player<N>
where
    N::Stream: Reset,
{
    /// Plays a script, and waits until nothing of it is left.
    pub(super) async fn play(mut self, script: &Script) -> PlayResult {
        script.playable().map_err(|error| error.to_string())?;
        for broker in 0..self.rig.count() {
            self.until_listening(broker, true).await?;
        }
        let ready = timeout(self.wait_limits.network, self.recorder.ready());
        ready.await.map_err(|_| "the cluster never became known")?;
        let mut sessions = Vec::new();
        for (step, number) in script.steps.iter().zip(1..) {
            // What can be sent is sent before the next step.
            self.wait(Duration::ZERO, |_| true).await?;
            let played = self.act(step, &mut sessions).await;
            played.map_err(|why| format!("step {number} `{step}`: {why}"))?;
        }
        self.end().await?;
        Ok(sessions)
    }

    /// Everything heals, ends and is left.
    async fn end(&mut self) -> Result<(), String> {
        self.heal().await?;
        let nobody = |clients: &Clients<N>| clients.who_waits().is_none();
        if !self.wait(self.wait_limits.healed, nobody).await? {
            let who = self.clients.who_waits().unwrap_or(Ordinal(0));
            return Err(format!("client c{} still waits", who.0));
        }
        self.clients.leave_all();
        let quiet = timeout(self.wait_limits.gone, self.recorder.quiet());
        quiet
            .await
            .map_err(|_| "a session is open without a client")?;
        self.stop.cancel();
        Ok(())
    }

    async fn act(&mut self, step: &Step, sessions: &mut Vec<Ordinal>) -> Result<(), String> {
        match step {
            Step::Client(who, what) => self.client(*who, what, sessions).await,
            Step::Broker(who, fault) => self.broker(who.0, fault).await,
            Step::Leader(place, broker) => {
                let to = BrokerId(i32::try_from(self.broker_of(broker.0)).unwrap_or(0));
                let (topic, partition) = (place.topic.name(), i32::from(place.partition));
                self.cluster
                    .with(|cluster, now| cluster.move_leader(now, topic, partition, to));
                Ok(())
            }
            Step::Net(who, NetLeg::Client, way, fault) => {
                self.clients.net_fault(*who, *way, *fault);
                Ok(())
            }
            Step::Net(who, NetLeg::Upstream, way, fault) => {
                self.rig.net_fault(who.0, *way, *fault);
                Ok(())
            }
            Step::Process(ProcessFault::Drain(_)) => {
                self.stop.cancel();
                Ok(())
            }
            Step::Process(ProcessFault::Reload(..)) => Err("no network can do that".to_owned()),
            Step::Heal => self.heal().await,
            Step::Wait(Wait::All) => self.wait_for(|clients| clients.who_waits().is_none()).await,
            Step::Wait(Wait::Millis(ms)) => {
                let ms = Duration::from_millis(u64::from(*ms));
                self.wait(ms, |_| false).await.map(|_| ())
            }
        }
    }

    async fn client(
        &mut self,
        who: Ordinal,
        what: &Client,
        sessions: &mut Vec<Ordinal>,
    ) -> Result<(), String> {
        let clients = &mut self.clients;
        match what {
            Client::Connect(doorkeeper) => return self.connect(who, *doorkeeper, sessions).await,
            Client::Send(request) => clients.says(who, request, u8::MAX, &self.cluster),
            Client::SendPart(part, request) => clients.says(who, request, *part, &self.cluster),
            Client::Raw(bytes) => clients.says_raw(who, bytes),
            Client::Fin => clients.finish(who),
            Client::Reset => clients.leave(who, End::Reset),
            Client::Stall => clients.stall(who, true),
            Client::Resume => clients.stall(who, false),
            Client::Drip(ms) => clients.drip(who, *ms),
            Client::Wait => return self.wait_for(|clients| !clients.waits(who)).await,
            Client::WaitEnd => return self.wait_for(|clients| !clients.is_connected(who)).await,
        }
        Ok(())
    }

    async fn connect(
        &mut self,
        who: Ordinal,
        doorkeeper: ListenAddr,
        sessions: &mut Vec<Ordinal>,
    ) -> Result<(), String> {
        self.clients.leave(who, End::Fin);
        // A listener that is closing accepts nobody.
        if self.stop.is_cancelled() {
            return Ok(());
        }
        let at = doorkeeper::place(doorkeeper)?;
        let connected = async {
            let connected = self.clients.connect(who, &at).await;
            connected.map_err(|error| error.to_string())?;
            // One after the other, so that sessions have the same numbers everywhere.
            self.recorder.opened(sessions.len() + 1).await;
            Ok(())
        };
        match timeout(self.wait_limits.network, connected).await {
            Ok(connected) => connected.map(|()| sessions.push(who)),
            Err(_elapsed) => Err("nobody is let in".to_owned()),
        }
    }

    /// Numbers beyond the last broker begin again with the first.
    fn broker_of(&self, number: u8) -> usize {
        usize::from(number)
            .checked_rem(self.rig.count())
            .unwrap_or(0)
    }

    async fn broker(&self, number: u8, fault: &BrokerFault) -> Result<(), String> {
        let broker = self.broker_of(number);
        let id = BrokerId(i32::try_from(broker).unwrap_or(0));
        if let BrokerFault::Restart | BrokerFault::Move = fault {
            self.cluster
                .with(|cluster, now| cluster.start_broker(now, id));
        }
        self.rig.fault(broker, fault);
        match fault {
            BrokerFault::Crash => {
                self.until_listening(broker, false).await?;
                self.cluster
                    .with(|cluster, now| cluster.stop_broker(now, id));
            }
            BrokerFault::Restart => self.until_listening(broker, true).await?,
            BrokerFault::Move => {
                let at = self.rig.address(broker).ok_or("no address is left")?;
                self.cluster
                    .with(|cluster, now| cluster.advertise(now, id, at));
                self.until_listening(broker, true).await?;
            }
            BrokerFault::Versions(key, last) => {
                let (key, last) = (i16::from(*key), i16::from(*last));
                self.cluster
                    .with(|cluster, _| cluster.serve_up_to(id, key, last));
            }
            BrokerFault::Throttle(ms) => {
                let throttle = Duration::from_millis(u64::from(*ms));
                self.cluster
                    .with(|cluster, _| cluster.throttle(id, throttle));
            }
            BrokerFault::Silence
            | BrokerFault::Speak
            | BrokerFault::Refuse
            | BrokerFault::BlackHole
            | BrokerFault::Accept
            | BrokerFault::AdvertiseDoorkeeper
            | BrokerFault::Next(_) => {}
        }
        Ok(())
    }

    async fn until_listening(&self, broker: usize, does: bool) -> Result<(), String> {
        let mut listening = self.rig.listening(broker).ok_or("no such broker")?;
        let listens = timeout(
            self.wait_limits.network,
            listening.wait_for(|listens| *listens == does),
        );
        match listens.await {
            Ok(_listens) => Ok(()),
            Err(_elapsed) => Err(format!("broker {broker} never listens: {does}")),
        }
    }

    async fn heal(&mut self) -> Result<(), String> {
        self.clients.heal();
        for broker in 0..self.rig.count() {
            let id = BrokerId(i32::try_from(broker).unwrap_or(0));
            self.cluster
                .with(|cluster, _| cluster.throttle(id, Duration::ZERO));
        }
        for broker in self.rig.heal() {
            let id = BrokerId(i32::try_from(broker).unwrap_or(0));
            self.cluster
                .with(|cluster, now| cluster.start_broker(now, id));
            self.until_listening(broker, true).await?;
        }
        Ok(())
    }

    /// Waits for what a step names.
    async fn wait_for(&mut self, done: impl Fn(&Clients<N>) -> bool) -> Result<(), String> {
        let done = self.wait(self.wait_limits.step, done).await?;
        if done || !self.wait_limits.is_strict {
            Ok(())
        } else {
            Err("waited in vain".to_owned())
        }
    }

    /// Lets clients move until something is so, at most so long.
    async fn wait(
        &mut self,
        at_most: Duration,
        done: impl Fn(&Clients<N>) -> bool,
    ) -> Result<bool, String> {
        let clients = &mut self.clients;
        let mut over = pin!(tokio::time::sleep(at_most));
        poll_fn(|cx| {
            if let Err(violation) = clients.move_on(cx) {
                return Poll::Ready(Err(violation));
            }
            if done(clients) {
                return Poll::Ready(Ok(true));
            }
            over.as_mut().poll(cx).map(|()| Ok(false))
        })
        .await
    }
}
