//! Brokers that response by a script, and honestly where they have none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt as _;
use tokio::task::AbortHandle;

use crate::broker_sasl::{BrokerSasl, LoginDemand};
use crate::frames::{self, Asked, Listed};
use crate::mesh::{Far, Mesh, Place};

/// What a broker does about a request.
#[derive(Clone, Debug)]
pub enum Act {
    Say(Vec<u8>),
    /// Ends the connection in order.
    End,
    Reset,
}

/// Whose requests a script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    Sessions,
    Discovery,
}

type Script = Box<dyn FnMut(&Asked) -> Vec<Act> + Send>;

#[derive(Clone)]
pub struct Cluster {
    mesh: Mesh,
    state: Arc<Mutex<State>>,
}

struct State {
    id: String,
    listed: Vec<Listed>,
    scripts: BTreeMap<(String, To), Script>,
    asked: Vec<(String, Asked)>,
    connections: Vec<(String, AbortHandle)>,
    /// What every broker wants before anything else.
    demand: Option<Arc<LoginDemand>>,
}

/// One line of a Metadata response, from `id@host:port`.
pub fn listed(text: &str) -> Listed {
    let (id, at) = text.split_once('@').unwrap();
    let (host, port) = at.rsplit_once(':').unwrap();
    (id.parse().unwrap(), host.into(), port.parse().unwrap())
}

impl Cluster {
    pub fn new(mesh: &Mesh, id: &str) -> Self {
        Self {
            mesh: mesh.clone(),
            state: Arc::new(Mutex::new(State {
                id: id.to_owned(),
                listed: Vec::new(),
                scripts: BTreeMap::new(),
                asked: Vec::new(),
                connections: Vec::new(),
                demand: None,
            })),
        }
    }

    /// What honest brokers say of the cluster from now on, each `id@host:port`.
    pub fn lists(&self, brokers: &[&str]) {
        self.state.lock().unwrap().listed = brokers.iter().map(|text| listed(text)).collect();
    }

    /// Connections that are opened from now on begin with a login.
    pub fn demands(&self, demand: &Arc<LoginDemand>) {
        self.state.lock().unwrap().demand = Some(Arc::clone(demand));
    }

    /// A broker can be reached at this address.
    pub fn up(&self, name: &str) {
        let mut accepted = self.mesh.by_hand(name);
        let (cluster, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            while let Some(far) = accepted.recv().await {
                let task = tokio::spawn(cluster.clone().serve(name.clone(), far));
                let mut state = cluster.state.lock().unwrap();
                state.connections.push((name.clone(), task.abort_handle()));
            }
        });
    }

    /// The broker is gone with all its connections, and attempts to reach it end like this.
    pub fn down(&self, name: &str, place: Place) {
        self.mesh.put(name, place);
        let mut state = self.state.lock().unwrap();
        state.connections.retain(|(at, task)| {
            if at == name {
                task.abort();
            }
            at != name
        });
    }

    /// What the broker at this address does about requests from now on.
    pub fn script(
        &self,
        name: &str,
        to: To,
        script: impl FnMut(&Asked) -> Vec<Act> + Send + 'static,
    ) {
        let mut state = self.state.lock().unwrap();
        let key = (name.to_owned(), to);
        state.scripts.insert(key, Box::new(script));
    }

    /// The broker at this address is honest again.
    pub fn no_script(&self, name: &str, to: To) {
        let mut state = self.state.lock().unwrap();
        state.scripts.remove(&(name.to_owned(), to));
    }

    /// The requests of sessions that came to a broker.
    pub fn asked(&self, name: &str) -> Vec<Asked> {
        let state = self.state.lock().unwrap();
        let of_it = |(at, asked): &(String, Asked)| at == name && !asked.by_discovery;
        let asked = state.asked.iter().filter(|asked| of_it(asked));
        asked.map(|(_, asked)| asked.clone()).collect()
    }

    async fn serve(self, name: String, mut far: Far) {
        let demand = self.state.lock().unwrap().demand.clone();
        let mut sasl = demand.map(BrokerSasl::new);
        while let Some(frame) = frames::next_frame(&mut far.stream).await {
            if let Some(said) = sasl.as_mut().and_then(|it| it.take(&frame)) {
                if said.is_empty() || far.stream.write_all(&said).await.is_err() {
                    return;
                }
                continue;
            }
            let acts = self.state.lock().unwrap().acts(&name, &Asked::read(&frame));
            for act in acts {
                match act {
                    Act::Say(bytes) => {
                        if far.stream.write_all(&bytes).await.is_err() {
                            return;
                        }
                    }
                    Act::End => return,
                    Act::Reset => return far.reset(),
                }
            }
        }
    }
}

impl State {
    fn acts(&mut self, name: &str, asked: &Asked) -> Vec<Act> {
        self.asked.push((name.to_owned(), asked.clone()));
        let to = if asked.by_discovery {
            To::Discovery
        } else {
            To::Sessions
        };
        match self.scripts.get_mut(&(name.to_owned(), to)) {
            Some(script) => script(asked),
            None => vec![Act::Say(self.honest(asked))],
        }
    }

    fn honest(&self, asked: &Asked) -> Vec<u8> {
        let Asked { version, id, .. } = *asked;
        match asked.api {
            frames::API_VERSIONS => frames::api_versions_response(version, id),
            frames::METADATA => frames::metadata_response(version, id, &self.id, &self.listed),
            frames::HEARTBEAT => frames::heartbeat_response(id),
            frames::FETCH => frames::fetch_response(id),
            other => panic!("no broker of the tests knows API {other}"),
        }
    }
}
