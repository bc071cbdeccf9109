// Runs one scenario with kafkajs: main.js SCENARIO BOOTSTRAP PREFIX.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const readline = require('node:readline');
const {
  AssignerProtocol,
  CompressionTypes,
  ConfigResourceTypes,
  Kafka,
  KafkaJSError,
  logLevel,
} = require('kafkajs');

const PARTITIONS = 3;

// How long nothing may move. A member of a group that has gone without a word blocks the next
// rebalance until its session of 10 s is over; a broker that has gone may cost some requests more.
const STALL_SECONDS = 120;

// Between two records while something happens. Records flow, they do not flood: all that programs
// can send would keep the brokers busy, and this is about what happens to them meanwhile.
const RECORD_MS = 10;

class Run {
  constructor(bootstrap, prefix) {
    this.bootstrap = bootstrap.split(',');
    this.prefix = prefix;
    this.sentBytes = 0;
    this.receivedBytes = 0;
  }

  // The tap attributes a connection by the part of its client id before the first dot.
  client(role) {
    return new Kafka({
      brokers: this.bootstrap,
      ssl: ssl(JSON.parse(process.env.CONFORMANCE_TLS || 'null')),
      clientId: `${this.prefix}.${role}`,
      connectionTimeout: 10000,
      requestTimeout: 20000,
      retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 60 },
      logLevel: logLevel.WARN,
      logCreator: () => ({ namespace, log }) => console.error(namespace, JSON.stringify(log)),
    });
  }

  name(what) {
    return `${this.prefix}-${what}`;
  }

  async start() {
    this.admin = this.client('admin').admin();
    await this.admin.connect();
  }

  async topic(what, numPartitions = PARTITIONS) {
    const topic = this.name(what);
    await this.admin.createTopics({
      topics: [{ topic, numPartitions, replicationFactor: 3 }],
      waitForLeaders: false,
    });
    // The leaders have to serve it, not only to be known.
    const served = async () => {
      try {
        return (await this.admin.fetchTopicOffsets(topic)).length === numPartitions;
      } catch (failure) {
        if (!(failure instanceof KafkaJSError)) throw failure;
        return false;
      }
    };
    await until(served, 120, `leaders of ${topic}`);
    return topic;
  }

  async nodes() {
    const { brokers } = await this.admin.describeCluster();
    return Object.fromEntries(brokers.map((it) => [it.nodeId, `${it.host}:${it.port}`]));
  }

  record(i, partition) {
    // Nothing compresses it: the taps have to see as many bytes.
    const value = Buffer.concat(
      [...Array(6).keys()].map((n) => crypto.createHash('sha512').update(`${i} ${n}`).digest()),
    );
    const key = Buffer.from(`key-${i}`);
    this.sentBytes += value.length + key.length;
    return { key, value, partition, timestamp: String(1700000000000 + i) };
  }

  // Runs a consumer until `done` says that it has seen enough; nothing it reads is lost. It may
  // take any time while records move, and while `isHappening` says that the suite is at work.
  async consume(role, topic, options, each, done, isHappening = () => false) {
    const consumer = this.client(role).consumer({
      groupId: this.name(role),
      maxWaitTimeInMs: 200,
      heartbeatInterval: 500,
      sessionTimeout: 10000,
      metadataMaxAge: 2000,
      ...options,
    });
    let failure = null;
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) failure = failure || payload.error;
    });
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      partitionsConsumedConcurrently: 1,
      eachMessage: async ({ partition, message }) => {
        this.receivedBytes += (message.key || '').length + message.value.length;
        try {
          each(partition, message);
        } catch (wrong) {
          // kafkajs would only try again.
          failure = failure || wrong;
          throw wrong;
        }
      },
    });
    let progress = null;
    let end = 0;
    while (!(await done())) {
      if (failure) throw failure;
      const now = `${this.sentBytes} bytes sent, ${this.receivedBytes} received`;
      if (isHappening() || now !== progress) {
        progress = now;
        end = Date.now() + STALL_SECONDS * 1000;
      }
      check(Date.now() < end, `timed out: ${topic} to move; ${now}`);
      await pause();
    }
    await consumer.disconnect();
  }

  async report(agree) {
    say({
      agree,
      nodes: await this.nodes(),
      sent_bytes: this.sentBytes,
      received_bytes: this.receivedBytes,
    });
  }
}

// What a client uses TLS with; nothing for plaintext.
function ssl(tls) {
  if (tls === null) return undefined;
  const read = (file) => file && fs.readFileSync(file);
  return { ca: [read(tls.ca)], cert: read(tls.certificate), key: read(tls.key) };
}

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function check(holds, what) {
  if (!holds) throw new Error(what);
}

// Polls for a state, for so many seconds at most.
async function until(state, seconds, what) {
  const end = Date.now() + seconds * 1000;
  while (!(await state())) {
    check(Date.now() < end, `timed out: ${what}`);
    await pause();
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 20));

// Digests by partition, in the order of arrival.
class Log {
  constructor() {
    this.digests = new Map();
    this.count = 0;
  }

  add(partition, { key, value, timestamp }) {
    const hash = this.digests.get(partition) || crypto.createHash('sha256');
    hash.update(`${key.length} ${value.length} ${timestamp} `).update(key).update(value);
    this.digests.set(partition, hash);
    this.count += 1;
  }

  hash() {
    const each = [...this.digests].sort(([a], [b]) => a - b);
    return each.map(([p, hash]) => `${p}:${hash.copy().digest('hex').slice(0, 8)}`).join(' ');
  }
}

async function produce(run, topic, options, sending) {
  const producer = run.client('producer').producer({ maxInFlightRequests: 1, ...options });
  await producer.connect();
  const sent = new Log();
  for (let batch = 0; batch < 20; batch += 1) {
    const messages = [];
    for (let i = batch * 50; i < batch * 50 + 50; i += 1) {
      messages.push(run.record(i, i % PARTITIONS));
      sent.add(i % PARTITIONS, messages.at(-1));
    }
    await producer.send({ topic, messages, ...sending });
  }
  await producer.disconnect();
  return verify(run, topic, sent);
}

async function verify(run, topic, sent) {
  const received = new Log();
  const each = (partition, message) => received.add(partition, message);
  await run.consume(`verify-${topic}`, topic, {}, each, () => received.count >= sent.count);
  check(received.hash() === sent.hash(), `${topic}: ${sent.hash()} sent, ${received.hash()} read`);
  return { records: received.count, digest: received.hash() };
}

const acks = (level) => async (run) =>
  produce(run, await run.topic('records'), {}, { acks: level });

async function compression(run) {
  // The other codecs want packages of their own.
  return produce(run, await run.topic('gzip'), {}, { compression: CompressionTypes.GZIP });
}

async function idempotent(run) {
  return produce(run, await run.topic('records'), { idempotent: true }, { acks: -1 });
}

async function transactions(run) {
  const topic = await run.topic('in');
  const producer = run.client('producer').producer({
    transactionalId: run.name('tx'),
    maxInFlightRequests: 1,
    idempotent: true,
  });
  await producer.connect();
  const committed = new Log();
  for (let n = 0; n < 4; n += 1) {
    const transaction = await producer.transaction();
    const messages = [];
    for (let i = n * 60; i < n * 60 + 60; i += 1) {
      messages.push(run.record(i, i % PARTITIONS));
      if (n % 2 === 0) committed.add(i % PARTITIONS, messages.at(-1));
    }
    await transaction.send({ topic, messages });
    await (n % 2 === 0 ? transaction.commit() : transaction.abort());
  }
  await producer.disconnect();
  return verify(run, topic, committed);
}

// A second member comes and takes its half; everything is read, offsets stay.
async function group(run) {
  const topic = await run.topic('work', 6);
  const producer = run.client('producer').producer();
  await producer.connect();
  const seen = new Set();
  let sent = 0;
  const wave = async () => {
    const messages = [];
    for (let i = sent; i < sent + 300; i += 1) messages.push(run.record(i, i % 6));
    await producer.send({ topic, messages });
    sent += 300;
  };
  const groupId = run.name('group');
  const halves = async () => {
    const { groups } = await run.admin.describeGroups([groupId]);
    const shares = groups[0].members.map((it) => {
      if (it.memberAssignment.length === 0) return 0;
      const { assignment } = AssignerProtocol.MemberAssignment.decode(it.memberAssignment);
      return (assignment[topic] || []).length;
    });
    return shares.length === 2 && shares.every((it) => it === 3);
  };
  const each = (partition, message) => seen.add(`${partition}/${message.offset}`);
  const all = () => seen.size === sent;
  await wave();
  let alone = false;
  let together = false;
  const other = until(() => all(), 200, 'the first member').then(async () => {
    alone = true;
    await wave();
    await run.consume('b', topic, { groupId }, each, async () => {
      together = together || (await halves());
      return together && all();
    });
    await wave();
  });
  await run.consume('a', topic, { groupId }, each, () => alone && together && all() && sent === 900);
  await other;
  await producer.disconnect();
  const [{ partitions }] = await run.admin.fetchOffsets({ groupId, topics: [topic] });
  const committed = partitions.reduce((sum, it) => sum + Number(it.offset), 0);
  check(committed === sent, `${committed} committed of ${sent}`);
  return { records: seen.size, committed };
}

// What kafkajs says of each bad certificate.
async function badCertificates(run) {
  const failures = {};
  for (const [name, it] of Object.entries(JSON.parse(process.env.CONFORMANCE_CASES))) {
    const client = new Kafka({
      brokers: [it.bootstrap],
      clientId: `${run.prefix}.${name}`,
      ssl: ssl(it.tls),
      retry: { retries: 0 },
      logLevel: logLevel.NOTHING,
    });
    const admin = client.admin();
    try {
      await admin.connect();
      await admin.describeCluster();
      failures[name] = null;
    } catch (failure) {
      console.error(name, failure);
      failures[name] = failure.name;
    }
    check(failures[name], `${name} was let in`);
    await admin.disconnect();
  }
  return failures;
}

async function topics(run) {
  const topic = await run.topic('topic');
  const agree = { exists: !(await run.admin.createTopics({ topics: [{ topic }] })) };
  await run.admin.alterConfigs({
    resources: [
      {
        type: ConfigResourceTypes.TOPIC,
        name: topic,
        configEntries: [{ name: 'max.message.bytes', value: '123456' }],
      },
    ],
  });
  const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic }];
  await until(
    async () => {
      const { resources: found } = await run.admin.describeConfigs({ resources });
      const entry = found[0].configEntries.find((it) => it.configName === 'max.message.bytes');
      agree.config = entry.configValue;
      return entry.configValue === '123456';
    },
    60,
    'the changed config',
  );
  await until(
    async () => {
      // A broker that has not heard of it yet says that it has none.
      const metadata = await run.admin.fetchTopicMetadata({ topics: [topic] });
      agree.partitions = metadata.topics[0].partitions.length;
      return agree.partitions === PARTITIONS;
    },
    60,
    'the partitions',
  );
  agree.offsets = (await run.admin.fetchTopicOffsets(topic)).map((it) => it.offset);
  await run.admin.deleteTopics({ topics: [topic] });
  await until(async () => !(await run.admin.listTopics()).includes(topic), 60, 'the topic to go');
  return agree;
}

// None that was acknowledged is lost while something happens; order is kept.
async function flow(run) {
  const topic = await run.topic('stream');
  const producer = run.client('producer').producer({ maxInFlightRequests: 1 });
  await producer.connect();
  const consumed = Array(PARTITIONS).fill(0);
  const total = () => consumed.reduce((sum, it) => sum + it, 0);
  let sent = 0;
  let asked = false;
  let happened = false;
  const each = (partition, message) => {
    const n = message.value.readInt32BE(0);
    check(n <= consumed[partition], `partition ${partition}: ${n} after ${consumed[partition]}`);
    // A smaller one is legal: it may have been sent again, or be read again after a commit.
    if (n === consumed[partition]) consumed[partition] += 1;
  };
  // One partition at a time: when leaders move, kafkajs loses what it sends to a broker whose response
  // was about another partition of the same call; and its idempotent producer loses records.
  const send = async () => {
    const value = Buffer.alloc(200);
    value.writeInt32BE(Math.floor(sent / PARTITIONS));
    run.sentBytes += value.length;
    await producer.send({ topic, messages: [{ partition: sent % PARTITIONS, value }], acks: -1 });
    sent += 1;
  };
  const lines = readline.createInterface({ input: process.stdin });
  const suite = new Promise((_, reject) => {
    lines.once('line', () => {
      happened = true;
    });
    lines.once('close', () => {
      if (!happened) reject(new Error('the suite went away'));
    });
  });
  const sending = (async () => {
    let left = 300;
    while (left > 0) {
      await send();
      if (total() > 100 && !asked) {
        asked = true;
        process.stdout.write('ready\n');
      }
      if (happened) left -= 1;
      await new Promise((resume) => setTimeout(resume, RECORD_MS));
    }
  })();
  let done = false;
  sending.then(
    () => {
      done = true;
    },
    () => {},
  );
  const isHappening = () => asked && !happened;
  await Promise.race([
    run.consume('consumer', topic, {}, each, () => done && total() >= sent, isHappening),
    sending.then(() => suite),
    suite,
  ]);
  await producer.disconnect();
  return { lost: sent - total() };
}

const SCENARIOS = {
  acks_0: acks(0),
  acks_1: acks(1),
  acks_all: acks(-1),
  compression,
  idempotent,
  transactions,
  group_classic: group,
  topics,
  bad_certificates: badCertificates,
  restart: flow,
  broker_killed: flow,
  broker_stopped: flow,
  broker_paused: flow,
  leaders_move: flow,
  broker_joins: flow,
  doorkeeper_killed: flow,
  doorkeeper_drained: flow,
};

async function main() {
  const [scenario, bootstrap, prefix] = process.argv.slice(2);
  let code = 0;
  try {
    const run = new Run(bootstrap, prefix);
    await run.start();
    await run.report(await SCENARIOS[scenario](run));
  } catch (failure) {
    console.error(failure);
    say({ error: String(failure) });
    code = 1;
  }
  // Clients that are still open must not keep the process alive.
  process.stdout.write('', () => process.exit(code));
}

main();
