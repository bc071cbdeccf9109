//! One transactional id: who may use it, and how far its transaction is.
//!
//! Rules: `TransactionCoordinator` and `TransactionMetadata`, with transactions V2 (KIP-890).

use std::collections::BTreeSet;
use std::time::Duration;

use doorkeeper_core::time::Instant;
use kafka_protocol::ResponseError;

/// `RecordBatch.NO_PRODUCER_EPOCH`.
const NO_EPOCH: i16 = -1;
/// The last epoch that producers get, so that one is left to fence them with.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// A producer id with its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Commit,
    Abort,
}

/// How far it is (`TransactionState`; what is dead is not kept, and nothing stays being fenced).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No transaction since the producer came.
    Empty,
    /// Partitions belong to it.
    Ongoing,
    /// It has ended, and not every partition knows.
    Prepare(Outcome),
    /// It has ended.
    Complete(Outcome),
}

/// One transactional id.
#[derive(Debug)]
pub(crate) struct Transaction {
    producer: Producer,
    previous_id: Option<i64>,
    /// The id that comes next, because the epochs of this one are used up.
    next_id: Option<i64>,
    last_epoch: i16,
    timeout: Duration,
    /// When the last transaction began.
    started: Option<Instant>,
    state: State,
    /// Topics with numbers of partitions.
    partitions: BTreeSet<(String, i32)>,
}

const fn is_exhausted(epoch: i16) -> bool {
    epoch >= LAST_EPOCH
}

impl Transaction {
    pub(crate) const fn new(producer_id: i64) -> Self {
        Self {
            producer: Producer {
                id: producer_id,
                epoch: NO_EPOCH,
            },
            previous_id: None,
            next_id: None,
            last_epoch: NO_EPOCH,
            timeout: Duration::ZERO,
            started: None,
            state: State::Empty,
            partitions: BTreeSet::new(),
        }
    }

    pub(crate) const fn producer(&self) -> Producer {
        self.producer
    }

    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) const fn started(&self) -> Option<Instant> {
        self.started
    }

    /// The state as Kafka's responses name it.
    pub(crate) const fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::Ongoing => "Ongoing",
            State::Prepare(Outcome::Commit) => "PrepareCommit",
            State::Prepare(Outcome::Abort) => "PrepareAbort",
            State::Complete(Outcome::Commit) => "CompleteCommit",
            State::Complete(Outcome::Abort) => "CompleteAbort",
        }
    }

    /// When it is aborted because it lasts too long.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Ongoing => self.started.map(|started| started.after(self.timeout)),
            State::Empty | State::Prepare(_) | State::Complete(_) => None,
        }
    }

    /// The outcome that partitions still need a marker for, if any.
    pub(crate) const fn outcome_due(&self) -> Option<Outcome> {
        match self.state {
            State::Prepare(outcome) => Some(outcome),
            State::Empty | State::Ongoing | State::Complete(_) => None,
        }
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = &(String, i32)> {
        self.partitions.iter()
    }

    /// `InitProducerId`: the producer goes on as the next one; what another has begun is aborted
    /// first, and the client has to come again.
    pub(crate) fn init(
        &mut self,
        expected: Option<Producer>,
        timeout: Duration,
        new_id: impl FnOnce() -> i64,
    ) -> Result<Producer, ResponseError> {
        let may_be_a_retry = |expected: Producer| {
            self.previous_id == Some(expected.id) && is_exhausted(expected.epoch)
        };
        let is_valid = |expected: Producer| {
            self.producer.epoch == NO_EPOCH
                || expected.id == self.producer.id
                || may_be_a_retry(expected)
        };
        if !expected.is_none_or(is_valid) {
            return Err(ResponseError::ProducerFenced);
        }
        match self.state {
            State::Prepare(_) => Err(ResponseError::ConcurrentTransactions),
            State::Ongoing => {
                self.fence();
                Err(ResponseError::ConcurrentTransactions)
            }
            State::Empty | State::Complete(_) => {
                let (producer, last) = self.next_producer(expected, new_id)?;
                self.previous_id = Some(self.producer.id);
                self.producer = producer;
                self.last_epoch = last;
                self.timeout = timeout;
                self.started = None;
                self.state = State::Empty;
                Ok(producer)
            }
        }
    }

    /// `prepareProducerIdRotation` and `prepareIncrementProducerEpoch`.
    fn next_producer(
        &self,
        expected: Option<Producer>,
        new_id: impl FnOnce() -> i64,
    ) -> Result<(Producer, i16), ResponseError> {
        let Producer { id, epoch } = self.producer;
        let expects = expected.map(|expected| expected.epoch);
        if is_exhausted(epoch) && expects.is_none_or(|expects| expects == epoch) {
            let last = if expects.is_some() { epoch } else { NO_EPOCH };
            let id = new_id();
            return Ok((Producer { id, epoch: 0 }, last));
        }
        let next = epoch
            .checked_add(1)
            .filter(|_| !is_exhausted(epoch))
            .ok_or(ResponseError::UnknownServerError)?;
        match expects {
            None => Ok((Producer { id, epoch: next }, NO_EPOCH)),
            Some(expects) if epoch == NO_EPOCH || expects == epoch => {
                Ok((Producer { id, epoch: next }, epoch))
            }
            // It has not got the response.
            Some(expects) if expects == self.last_epoch => Ok((self.producer, self.last_epoch)),
            Some(_) => Err(ResponseError::ProducerFenced),
        }
    }

    /// Aborts what is ongoing, and keeps its producer out (`prepareFenceProducerEpoch`, then
    /// `endTransaction`).
    pub(crate) const fn fence(&mut self) {
        let fenced = self.producer.epoch.saturating_add(1);
        self.last_epoch = fenced;
        self.producer.epoch = fenced.saturating_add(1);
        self.state = State::Prepare(Outcome::Abort);
    }

    fn check_producer(&self, producer: Producer) -> Result<(), ResponseError> {
        if self.producer.id != producer.id {
            Err(ResponseError::InvalidProducerIdMapping)
        } else if self.producer.epoch != producer.epoch {
            Err(ResponseError::ProducerFenced)
        } else if self.outcome_due().is_some() {
            Err(ResponseError::ConcurrentTransactions)
        } else {
            Ok(())
        }
    }

    /// `handleAddPartitionsToTransaction`.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        producer: Producer,
        partitions: impl IntoIterator<Item = (String, i32)>,
    ) -> Result<(), ResponseError> {
        self.check_producer(producer)?;
        if !matches!(self.state, State::Ongoing) {
            self.state = State::Ongoing;
            self.started = Some(now);
        }
        self.partitions.extend(partitions);
        Ok(())
    }

    /// `handleVerifyPartitionsInTransaction`, for one partition.
    pub(crate) fn verify(
        &self,
        producer: Producer,
        partition: &(String, i32),
    ) -> Result<(), ResponseError> {
        self.check_producer(producer)?;
        let is_in = self.partitions.contains(partition);
        is_in
            .then_some(())
            .ok_or(ResponseError::TransactionAbortable)
    }

    /// `EndTxn` up to version 4: the producer goes on in its epoch.
    pub(crate) fn end(
        &mut self,
        producer: Producer,
        outcome: Outcome,
    ) -> Result<(), ResponseError> {
        if self.producer.id != producer.id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if self.producer.epoch != producer.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        match self.state {
            State::Ongoing => {
                self.state = State::Prepare(outcome);
                Ok(())
            }
            State::Complete(known) if known == outcome => Ok(()),
            State::Prepare(known) if known == outcome => Err(ResponseError::ConcurrentTransactions),
            State::Complete(_) | State::Prepare(_) | State::Empty => {
                Err(ResponseError::InvalidTxnState)
            }
        }
    }

    /// `EndTxn` from version 5 on (transactions V2): each transaction has an epoch of its own, and
    /// one that has written nothing may be aborted.
    pub(crate) fn end_with_bump(
        &mut self,
        producer: Producer,
        outcome: Outcome,
        new_id: impl FnOnce() -> i64,
    ) -> Result<(), ResponseError> {
        let overflowed = self.previous_id == Some(producer.id)
            && producer.epoch == LAST_EPOCH
            && self.producer.epoch == 0;
        let bumped = Some(self.producer.epoch) == producer.epoch.checked_add(1);
        if self.producer.id != producer.id && !overflowed {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        let is_retry = bumped || overflowed;
        let is_current = producer.epoch == self.producer.epoch;
        let is_valid = match self.state {
            State::Ongoing | State::Empty => is_current,
            State::Prepare(_) => bumped,
            State::Complete(_) => is_retry || is_current,
        };
        if !is_valid {
            return Err(ResponseError::ProducerFenced);
        }
        let aborts = outcome == Outcome::Abort;
        match self.state {
            State::Complete(known) if is_retry && known == outcome => return Ok(()),
            State::Prepare(known) if known == outcome => {
                return Err(ResponseError::ConcurrentTransactions);
            }
            State::Ongoing => {}
            State::Empty if aborts => {}
            State::Complete(_) if aborts && !is_retry => {}
            State::Empty | State::Complete(_) | State::Prepare(_) => {
                return Err(ResponseError::InvalidTxnState);
            }
        }
        self.next_id = is_exhausted(self.producer.epoch).then(new_id);
        self.last_epoch = self.producer.epoch;
        self.producer.epoch = self.producer.epoch.saturating_add(1);
        self.state = State::Prepare(outcome);
        Ok(())
    }

    /// A partition knows the outcome, or is gone.
    pub(crate) fn marked(&mut self, partition: &(String, i32)) {
        self.partitions.remove(partition);
    }

    /// `prepareComplete`, once every partition knows the outcome.
    pub(crate) fn complete(&mut self) {
        let State::Prepare(outcome) = self.state else {
            return;
        };
        if !self.partitions.is_empty() {
            return;
        }
        self.state = State::Complete(outcome);
        if let Some(id) = self.next_id.take() {
            self.previous_id = Some(self.producer.id);
            self.producer = Producer { id, epoch: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn producer(epoch: i16) -> Producer {
        Producer { id: 7, epoch }
    }

    fn init(
        known: &mut Transaction,
        expected: Option<Producer>,
    ) -> Result<Producer, ResponseError> {
        known.init(expected, TIMEOUT, || 8)
    }

    fn begun() -> Transaction {
        let mut known = Transaction::new(7);
        assert_eq!(init(&mut known, None), Ok(producer(0)));
        add(&mut known, 0).unwrap();
        known
    }

    fn add(known: &mut Transaction, epoch: i16) -> Result<(), ResponseError> {
        let partition = ("t".to_owned(), 0);
        known.add(Instant::ZERO, producer(epoch), [partition])
    }

    fn tell_all(known: &mut Transaction) {
        for partition in known.partitions.clone() {
            known.marked(&partition);
        }
        known.complete();
    }

    #[test]
    fn a_second_producer_aborts_what_the_first_has_begun_and_fences_it() {
        let mut known = begun();
        let later = Err(ResponseError::ConcurrentTransactions);
        assert_eq!(init(&mut known, None), later);
        assert_eq!(known.outcome_due(), Some(Outcome::Abort));
        assert_eq!(init(&mut known, None), later, "partitions must know first");
        tell_all(&mut known);
        let next = init(&mut known, None).unwrap();
        assert!(next.epoch > 1);
        let fenced = Err(ResponseError::ProducerFenced);
        assert_eq!(add(&mut known, 0), fenced);
        assert_eq!(known.end(producer(0), Outcome::Commit), fenced);
    }

    #[test]
    fn an_init_with_the_current_id_bumps_the_epoch_and_may_be_repeated() {
        let mut known = Transaction::new(7);
        init(&mut known, None).unwrap();
        assert_eq!(init(&mut known, Some(producer(0))), Ok(producer(1)));
        assert_eq!(init(&mut known, Some(producer(0))), Ok(producer(1)));
        assert_eq!(init(&mut known, None), Ok(producer(2)));
        let fenced = Err(ResponseError::ProducerFenced);
        assert_eq!(init(&mut known, Some(producer(0))), fenced);
        assert_eq!(init(&mut known, Some(Producer { id: 3, epoch: 2 })), fenced);
    }

    #[test]
    fn the_first_version_keeps_the_epoch() {
        let mut known = begun();
        assert_eq!(known.end(producer(0), Outcome::Commit), Ok(()));
        let later = Err(ResponseError::ConcurrentTransactions);
        assert_eq!(known.end(producer(0), Outcome::Commit), later);
        assert_eq!(add(&mut known, 0), later);
        tell_all(&mut known);
        assert_eq!(known.end(producer(0), Outcome::Commit), Ok(()));
        let wrong = Err(ResponseError::InvalidTxnState);
        assert_eq!(known.end(producer(0), Outcome::Abort), wrong);
        assert_eq!(add(&mut known, 0), Ok(()));
    }

    #[test]
    fn the_second_version_bumps_the_epoch_and_knows_a_retry() {
        let mut known = begun();
        let end = |known: &mut Transaction, epoch, outcome| {
            known.end_with_bump(producer(epoch), outcome, || 8)
        };
        assert_eq!(end(&mut known, 0, Outcome::Commit), Ok(()));
        tell_all(&mut known);
        assert_eq!(known.producer(), producer(1));
        assert_eq!(end(&mut known, 0, Outcome::Commit), Ok(()), "a retry");
        assert_eq!(known.producer(), producer(1));
        let wrong = Err(ResponseError::InvalidTxnState);
        assert_eq!(end(&mut known, 0, Outcome::Abort), wrong);
        assert_eq!(end(&mut known, 1, Outcome::Commit), wrong);
        // Nothing was written, and it is aborted all the same.
        assert_eq!(end(&mut known, 1, Outcome::Abort), Ok(()));
        tell_all(&mut known);
        assert_eq!(known.producer(), producer(2));
        let fenced = Err(ResponseError::ProducerFenced);
        assert_eq!(end(&mut known, 0, Outcome::Abort), fenced);
    }

    #[test]
    fn another_id_follows_the_last_epoch() {
        let mut known = begun();
        known.producer.epoch = LAST_EPOCH;
        assert_eq!(
            known.end_with_bump(producer(LAST_EPOCH), Outcome::Commit, || 8),
            Ok(())
        );
        tell_all(&mut known);
        assert_eq!(known.producer(), Producer { id: 8, epoch: 0 });
        let again = known.end_with_bump(producer(LAST_EPOCH), Outcome::Commit, || 9);
        assert_eq!(again, Ok(()));
        assert_eq!(known.producer(), Producer { id: 8, epoch: 0 });
        known.producer.epoch = LAST_EPOCH;
        let next = known.init(None, TIMEOUT, || 9);
        assert_eq!(next, Ok(Producer { id: 9, epoch: 0 }));
    }

    #[test]
    fn a_partition_that_was_not_added_is_not_verified() {
        let known = begun();
        let verify = |number| known.verify(producer(0), &("t".to_owned(), number));
        assert_eq!(verify(0), Ok(()));
        assert_eq!(verify(1), Err(ResponseError::TransactionAbortable));
        assert_eq!(known.deadline(), Some(Instant::ZERO.after(TIMEOUT)));
    }
}
