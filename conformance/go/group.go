package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	partitions = 6
	wave       = 300
)

// The members of a group that takes everything from one topic.
type members struct {
	*run
	topic    string
	group    string
	producer *kgo.Client
	produced int
	seen     map[string]bool
	open     []*member
}

type member struct {
	client *kgo.Client
	// Partitions, as its callbacks say.
	assigned atomic.Int32
}

// A second member joins and leaves a group; every record is consumed, offsets stay.
func group(r *run) (map[string]any, error) {
	topic, err := r.topic("work", partitions)
	if err != nil {
		return nil, err
	}
	// Nothing compresses what it sends: as many bytes have to be counted.
	producer, err := r.client("producer", kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	m := &members{run: r, topic: topic, group: r.name("group"), producer: producer,
		seen: map[string]bool{}}
	agree := map[string]any{}
	steps := []func() error{
		func() error { return m.join("a") },
		m.wave,
		func() error { return m.consume(partitions) },
		func() error { return m.join("b") },
		func() error { return m.consume(partitions/2, partitions/2) },
		m.wave,
		func() error { return m.consume(partitions/2, partitions/2) },
		m.leave,
		func() error { return m.consume(partitions) },
		m.wave,
		func() error { return m.consume(partitions) },
		m.leave,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	agree["records"] = len(m.seen)
	agree["committed"], err = m.committed()
	return agree, err
}

func (m *members) join(name string) error {
	joined := &member{}
	change := func(by int32) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			joined.assigned.Add(by * int32(len(topics[m.topic])))
		}
	}
	client, err := m.client(name,
		kgo.ConsumerGroup(m.group),
		kgo.ConsumeTopics(m.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.SessionTimeout(10*time.Second),
		kgo.DisableAutoCommit(),
		// Callbacks come only while nobody looks at what was polled.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(change(1)),
		kgo.OnPartitionsRevoked(change(-1)),
		kgo.OnPartitionsLost(change(-1)),
	)
	joined.client = client
	m.open = append(m.open, joined)
	return err
}

func (m *members) leave() error {
	last := len(m.open) - 1
	m.open[last].client.Close()
	m.open = m.open[:last]
	return nil
}

func (m *members) wave() error {
	records := make([]*kgo.Record, 0, wave)
	for range wave {
		record := &kgo.Record{
			Topic:     m.topic,
			Partition: int32(m.produced % partitions),
			Key:       fmt.Appendf(nil, "key-%d", m.produced),
			Value:     fmt.Appendf(nil, "value-%0200d", m.produced),
		}
		records = append(records, record)
		m.produced++
		m.sent += len(record.Key) + len(record.Value)
	}
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return m.producer.ProduceSync(within, records...).FirstErr()
}

// Polls the members in turn until all has been seen and the partitions lie as they should.
func (m *members) consume(shares ...int) error {
	deadline := time.Now().Add(patience)
	for len(m.seen) < m.produced || !m.have(shares) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d records, shares are not %v", len(m.seen), m.produced, shares)
		}
		for _, each := range m.open {
			if err := m.poll(each.client); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *members) have(shares []int) bool {
	for i, each := range m.open {
		if int(each.assigned.Load()) != shares[i] {
			return false
		}
	}
	return true
}

func (m *members) poll(client *kgo.Client) error {
	within, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	fetches := client.PollFetches(within)
	defer client.AllowRebalance()
	fetches.EachRecord(func(record *kgo.Record) {
		m.received += len(record.Key) + len(record.Value)
		m.seen[fmt.Sprintf("%d/%d", record.Partition, record.Offset)] = true
	})
	if fetches.NumRecords() == 0 {
		return nil
	}
	// Committed at once, so that no rebalance makes anybody read twice.
	patient, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return client.CommitUncommittedOffsets(patient)
}

func (m *members) committed() (int64, error) {
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	offsets, err := m.admin.FetchOffsets(within, m.group)
	sum := int64(0)
	for _, each := range offsets[m.topic] {
		sum += each.At
	}
	if err == nil && sum != int64(m.produced) {
		err = fmt.Errorf("%d committed of %d", sum, m.produced)
	}
	return sum, err
}
